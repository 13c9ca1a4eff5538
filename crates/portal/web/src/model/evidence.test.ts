import { expect, it } from 'vitest'
import { facts } from './evidence'

it('is told fact by fact, with amounts and times as people write them', () => {
  const evidence = {
    needs_subscription: true,
    subscription: { id: 'sub_1', status: 'past_due', ends_at: null },
    invoices: [{ number: 'A-1', remaining_minor: 1500, currency: 'eur', due_at: '2020-01-02T10:00:00Z' }],
  }
  expect(facts(evidence)).toEqual([
    { path: 'needs_subscription', value: true },
    { path: 'subscription id', value: 'sub_1' },
    { path: 'subscription status', value: 'past_due' },
    { path: 'invoices 1 number', value: 'A-1' },
    { path: 'invoices 1 remaining', value: '€15.00' },
    { path: 'invoices 1 currency', value: 'eur' },
    { path: 'invoices 1 due_at', value: expect.stringMatching(/^2 January 2020, \d\d:\d\d$/) },
  ])
})

it('says nothing of nothing, and does not fall over what it does not know', () => {
  expect([facts({}), facts(null), facts({ remaining_minor: 5 }), facts({ amount_minor: 'x', currency: 'no currency' })]).toEqual([
    [],
    [],
    [{ path: 'remaining_minor', value: '5' }],
    [
      { path: 'amount_minor', value: 'x' },
      { path: 'currency', value: 'no currency' },
    ],
  ])
})
