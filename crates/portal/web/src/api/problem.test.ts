import { expect, it, vi } from 'vitest'
import { readProblem, whenUnpaid } from './problem'

const answer = (status: number) => new Response(null, { status })
const body = (some: object) => ({ type: '', title: '', status: 402, code: 'payment_open', detail: 'blocked (new_backups, stage final_warning)', instance: 'urn:request:r', errors: [], ...some })

it('says in plain words what an open payment blocks, and has billing asked again', () => {
  const heard = vi.fn()
  whenUnpaid(heard)
  const problem = readProblem(body({ payment: { stage: 'final_warning', gate: 'new_backups', pay: '/billing' } }), answer(402))
  expect(problem.message).toMatch(/^Nothing was changed\. No new backups/)
  expect(problem.message).not.toMatch(/new_backups/)
  expect(problem.needsPayment).toBe(true)
  expect(heard).toHaveBeenCalledTimes(1)
})

it('keeps the words of what it does not know, and of what paying does not help with', () => {
  const gate = readProblem(body({ payment: { stage: 'final_warning', gate: 'teleport', pay: '/billing' } }), answer(402))
  expect([gate.message, gate.needsPayment]).toEqual(['blocked (new_backups, stage final_warning)', true])
  const room = readProblem(body({ code: 'subscription_required', detail: 'No room.' }), answer(402))
  expect([room.message, room.needsPayment]).toEqual(['No room.', true])
  const heard = vi.fn()
  whenUnpaid(heard)
  expect(readProblem(body({ status: 409, code: 'already_subscribed' }), answer(409)).needsPayment).toBe(false)
  expect(heard).not.toHaveBeenCalled()
})
