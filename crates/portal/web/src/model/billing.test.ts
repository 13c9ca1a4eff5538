import { describe, expect, it } from 'vitest'
import type { Billing, Gate, Invoice, Subscription } from '../api/client'
import { en } from '../text/en'
import { canChoose, csv, hasRoom, invoiceState, moments, returned, wayTo, works } from './billing'
import { money, onDay, price } from './format'

const none: Billing = {
  stage: 'good_standing',
  cause: 'nothing_open',
  entered_at: null,
  since: null,
  next: null,
  timeline: [],
  blocked: [],
  owed: null,
  subscription: null,
  other_subscriptions: [],
  grants: [],
  used: [],
  checkout: null,
  invoices: [],
  exempt: false,
  extended_until: null,
  disputed: false,
  sells: true,
  test_mode: false,
  now: '2026-11-26T12:00:00Z',
}

const timeline: Billing['timeline'] = [
  { stage: 'payment_failed', at: '2026-11-16T09:00:00Z' },
  { stage: 'final_warning', at: '2026-11-24T09:00:00Z' },
  { stage: 'suspended', at: '2026-12-02T09:00:00Z' },
]
const SOME: Gate[] = ['new_instances', 'new_backups', 'upgrades']
const ALL: Gate[] = [...SOME, 'power', 'console', 'file_writes', 'ide']
const open: Billing = { ...none, stage: 'final_warning', cause: 'invoice_past_due', since: '2026-11-16T09:00:00Z', timeline, blocked: SOME, next: { stage: 'suspended', at: '2026-12-02T09:00:00Z' } }

const subscription = (status: string, ...items: [string | null, number][]): Subscription => ({
  status,
  items: items.map(([plan, quantity]) => ({ plan, quantity, amount_minor: 500 })),
  month_minor: 500,
  currency: 'EUR',
  period_end: null,
  ends_at: null,
  collection_paused: false,
  paid_with: null,
})
const grant = (plan: string | null, quantity: number): Billing['grants'][number] => ({ id: 'g', plan, quantity, expires_at: null })
const checkout = (state: NonNullable<Billing['checkout']>['state']): Billing['checkout'] => ({ id: 'c', state, url: 'https://pay.example', items: [{ plan: 'small', quantity: 1 }], expires_at: '2026-11-26T12:30:00Z' })

describe('money', () => {
  it('is counted in the minor unit that the currency has', () => {
    expect([money(1500, 'EUR'), money(1500, 'JPY'), money(1500, 'KWD'), money(-250, 'USD')]).toEqual(['€15.00', '¥1,500', 'KWD\u00a01.500', '-$2.50'])
  })

  it('follows Stripe where it counts otherwise', () => {
    expect([money(150_000, 'ISK'), money(150_000, 'UGX'), money(1500, 'MGA')].map(it => it.replace(/[^\d.,]/g, ''))).toEqual(['1,500.00', '1,500.00', '1,500'])
  })

  it('has no cents on a label where there are none', () => {
    expect([price(500, 'EUR'), price(550, 'EUR'), price(1900, 'JPY')]).toEqual(['€5', '€5.50', '¥1,900'])
  })
})

describe('the timeline', () => {
  const told = (it: Billing) => moments(it).map(({ stage, at, is }) => [stage, at?.slice(0, 10) ?? null, is])

  it('is empty while nothing is open', () => {
    expect(moments(none)).toEqual([])
    expect(moments({ ...open, stage: 'restored', timeline: [] })).toEqual([])
  })

  it('says what was, what is and what comes, and that it ends with paying', () => {
    expect(told(open)).toEqual([
      ['payment_failed', '2026-11-16', 'done'],
      ['final_warning', '2026-11-24', 'now'],
      ['suspended', '2026-12-02', 'coming'],
      ['paid', null, 'coming'],
    ])
  })

  it('puts what comes behind the time that was given', () => {
    const extended: Billing = { ...open, stage: 'payment_failed', cause: 'extended', blocked: [], extended_until: '2026-12-05T09:00:00Z' }
    expect(told(extended).slice(1, 3)).toEqual([
      ['final_warning', '2026-12-05', 'coming'],
      ['suspended', '2026-12-05', 'coming'],
    ])
    expect(told({ ...extended, now: '2026-12-06T00:00:00Z' })[2]?.[1]).toBe('2026-12-02')
    expect(told({ ...extended, extended_until: '2026-11-28T09:00:00Z' })[2]?.[1]).toBe('2026-12-02')
  })

  it('tells of a stage that was entered early when it began', () => {
    expect(told({ ...open, entered_at: '2026-11-20T00:00:00Z', now: '2026-11-21T00:00:00Z' })[1]).toEqual(['final_warning', '2026-11-20', 'now'])
  })
})

describe('the strip above each page', () => {
  it('says what works and until when, by the time that it is for the customer', () => {
    expect(en.payment.follows(open)).toBe('New backups and new servers are paused. Your servers stop on 2 December if nothing changes.')
    expect(en.payment.follows({ ...open, stage: 'payment_failed', next: { stage: 'final_warning', at: '2026-11-30T09:00:00Z' } })).toBe('Everything works. New backups and new servers pause on 30 November if nothing changes.')
    expect(en.payment.follows({ ...open, stage: 'payment_failed' })).toBe('Everything works. Your servers stop on 2 December if nothing changes.')
    expect(en.payment.follows({ ...open, stage: 'suspended', next: null })).toMatch(/^Your servers are stopped\. Nothing of yours is deleted/)
  })

  it('names the hour once it is today or tomorrow', () => {
    expect(onDay('2026-11-26T18:00:00Z', none.now)).toMatch(/^today at \d\d:\d\d$/)
    expect(onDay('2026-11-27T12:00:00Z', none.now)).toMatch(/^tomorrow at /)
    expect(onDay('2027-01-02T12:00:00Z', none.now)).toBe('on 2 January 2027')
  })
})

describe('what works', () => {
  const told = (blocked: Gate[]) => works(blocked).map(it => (it.works ? it.line : `no ${it.line}`))

  it('is everything while nothing is blocked', () => {
    expect(told([])).toEqual(['play', 'restore', 'backups', 'servers', 'upgrades'])
  })

  it('leaves playing alone at the final warning', () => {
    expect(told(SOME)).toEqual(['play', 'restore', 'no backups', 'no servers', 'no upgrades'])
  })

  it('leaves reading and downloading when servers are stopped', () => {
    expect(told(ALL)).toEqual(['read', 'no power', 'no console', 'no files', 'no ide', 'no backups', 'no servers', 'no upgrades'])
  })

  it('has words for each gate', () => {
    for (const gate of ALL) expect(en.payment.refused(gate)).toMatch(/^Nothing was changed\. .+\.$/)
  })
})

describe('the way to a server', () => {
  const of = (some: Partial<Billing>, plan = 'small') => wayTo({ ...none, ...some }, plan)

  it('leads to payment where nothing covers it', () => {
    expect(of({})).toBe('pay')
    expect(of({ checkout: checkout('open') })).toBe('pay')
    expect(of({ subscription: subscription('canceled', ['small', 5]) })).toBe('pay')
    expect(of({ subscription: subscription('incomplete', ['small', 5]) })).toBe('pay')
  })

  it('is free where a subscription or a grant has room for that plan', () => {
    expect(of({ subscription: subscription('active', ['small', 2]), used: [{ plan: 'small', quantity: 1 }] })).toBe('create')
    expect(of({ subscription: subscription('past_due', ['small', 1]) })).toBe('create')
    expect(of({ grants: [grant('small', 1)] })).toBe('create')
    expect(of({ grants: [grant(null, 1)] })).toBe('create')
  })

  it('counts as the API does', () => {
    expect(hasRoom({ ...none, grants: [grant('large', 1)] }, 'small')).toBe(false)
    expect(hasRoom({ ...none, grants: [grant(null, 2)], used: [{ plan: 'large', quantity: 2 }] }, 'small')).toBe(false)
    expect(hasRoom({ ...none, grants: [grant(null, 1), grant('large', 2)], used: [{ plan: 'large', quantity: 2 }] }, 'small')).toBe(true)
    expect(hasRoom({ ...none, subscription: subscription('active', ['small', 1]), grants: [grant('small', 1)], used: [{ plan: 'small', quantity: 1 }] }, 'small')).toBe(true)
    // What is had beyond what is covered is in the way of whatever comes.
    expect(hasRoom({ ...none, grants: [grant('small', 1)], used: [{ plan: 'large', quantity: 1 }] }, 'small')).toBe(false)
  })

  it('leads to the subscription where there is one without room', () => {
    expect(of({ subscription: subscription('active', ['small', 1]), used: [{ plan: 'small', quantity: 1 }] })).toBe('add')
    expect(of({ subscription: subscription('active', ['large', 9]) })).toBe('add')
  })

  it('waits for the bank, asks where nothing is sold, and is blocked before anything is typed', () => {
    expect(of({ checkout: checkout('pending') })).toBe('pending')
    // Stripe may call the subscription active while the money is on its way.
    expect(of({ checkout: checkout('pending'), subscription: subscription('active', ['small', 1]) })).toBe('pending')
    expect(of({ checkout: checkout('pending'), subscription: subscription('active', ['small', 1]), grants: [grant('small', 1)] })).toBe('create')
    expect(of({ sells: false })).toBe('ask')
    expect(of({ blocked: SOME, grants: [grant(null, 9)] })).toBe('blocked')
  })

  it('does not stand in the way of what it does not know', () => {
    expect(wayTo(undefined, 'small')).toBe('create')
  })

  it('lets plans be chosen only where nothing was bought', () => {
    expect([canChoose(none), canChoose({ ...none, checkout: checkout('open') }), canChoose({ ...none, subscription: subscription('canceled') })]).toEqual([true, true, true])
    expect([canChoose({ ...none, sells: false }), canChoose({ ...none, checkout: checkout('pending') }), canChoose({ ...none, subscription: subscription('unpaid') })]).toEqual([false, false, false])
  })
})

describe('coming back from payment', () => {
  it('waits, and says so honestly when it has heard of nothing', () => {
    expect(returned('cs_1', none, false)).toBe('waiting')
    expect(returned('cs_1', { ...none, checkout: checkout('open') }, true)).toBe('late')
    expect(returned('cs_1', { ...none, subscription: subscription('incomplete') }, true)).toBe('late')
  })

  it('tells paid, pending and cancelled apart', () => {
    expect(returned('cs_1', { ...none, subscription: subscription('active', ['small', 1]) }, false)).toBe('paid')
    expect(returned('cs_1', { ...none, checkout: checkout('pending'), subscription: subscription('active', ['small', 1]) }, true)).toBe('pending')
    expect(returned('cancelled', { ...none, subscription: subscription('active') }, false)).toBe('cancelled')
  })
})

describe('invoices', () => {
  const invoice = (some: Partial<Invoice>): Invoice => ({
    id: 'in_1',
    number: '2026-1187',
    status: 'open',
    processing: false,
    total_minor: 1500,
    remaining_minor: 1500,
    currency: 'EUR',
    pay_url: null,
    pdf_url: null,
    created_at: '2026-11-14T10:00:00Z',
    ...some,
  })

  it('are in a state that people know', () => {
    const states = [{}, { processing: true }, { status: 'paid', remaining_minor: 0 }, { status: 'void' }, { status: 'uncollectible' }, { status: 'open', remaining_minor: 0 }, { status: 'new' }]
    expect(states.map(it => invoiceState(invoice(it)))).toEqual(['open', 'processing', 'paid', 'void', 'written_off', 'paid', 'unknown'])
  })

  it('are a table that no spreadsheet takes for formulas', () => {
    const bad = ['=HYPERLINK("https://x")', '+1', '-1+1', '@SUM(1)', '\t=1'].map(number => invoice({ number, total_minor: -1500 }))
    const [head, ...rows] = csv(['Number', 'Date'], bad, () => 'Open, late').split('\r\n')
    expect(head).toBe('Number,Date')
    expect(rows.slice(0, 3)).toEqual([
      `"'=HYPERLINK(""https://x"")",2026-11-14,EUR,-15.00,15.00,"Open, late"`,
      `'+1,2026-11-14,EUR,-15.00,15.00,"Open, late"`,
      `'-1+1,2026-11-14,EUR,-15.00,15.00,"Open, late"`,
    ])
    expect(rows.slice(3, 5).every(row => row.startsWith("'"))).toBe(true)
  })

  it('have amounts in the digits of their currency, and a name without a number', () => {
    expect(csv(['x'], [invoice({ number: null, currency: 'JPY' })], invoiceState)).toBe('x\r\nin_1,2026-11-14,JPY,1500,1500,open\r\n')
  })
})
