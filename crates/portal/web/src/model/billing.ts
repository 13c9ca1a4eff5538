/** What follows from a customer's billing: pure, so that every state can be tested. The rules themselves are the API's. */
import type { Billing, Gate, Invoice, Stage, Subscription } from '../api/client'
import { minorDigits } from './format'

const ORDER: Stage[] = ['payment_failed', 'final_warning', 'suspended']

export type Moment = { stage: Stage | 'paid'; at: string | null; is: 'done' | 'now' | 'coming' }

/** The stages with their days, and that it ends with paying. Nothing while nothing is open. */
export function moments({ stage, timeline, entered_at, extended_until, now }: Billing): Moment[] {
  const here = ORDER.indexOf(stage)
  if (here < 0 || timeline.length === 0) return []
  const later = (at: string) => (extended_until && time(extended_until) > Math.max(time(at), time(now)) ? extended_until : at)
  const known = timeline.map(({ stage: of, at }): Moment => {
    const rank = ORDER.indexOf(of)
    if (rank > here) return { stage: of, at: later(at), is: 'coming' }
    // One that was entered before its day, since the days were others then, began when it did.
    const began = rank === here && entered_at && time(at) > time(now) ? entered_at : at
    return { stage: of, at: began, is: rank < here ? 'done' : 'now' }
  })
  return [...known, { stage: 'paid', at: null, is: 'coming' }]
}

const time = (at: string) => new Date(at).getTime()

/** Whether more time was given that is not over. */
export const isExtended = ({ extended_until, now }: Billing): boolean => extended_until !== null && time(extended_until) > time(now)

export type Line = 'play' | 'power' | 'console' | 'ide' | 'files' | 'restore' | 'read' | 'backups' | 'servers' | 'upgrades'

const LINES: [Line, Gate][] = [
  ['power', 'power'],
  ['console', 'console'],
  ['files', 'file_writes'],
  ['ide', 'ide'],
  ['backups', 'new_backups'],
  ['servers', 'new_instances'],
  ['upgrades', 'upgrades'],
]

/** What works and what does not, first what works. Reading and downloading always do. */
export function works(blocked: readonly Gate[]): { line: Line; works: boolean }[] {
  const playing: Gate[] = ['power', 'console', 'file_writes', 'ide']
  const plays = !playing.some(gate => blocked.includes(gate))
  const all = LINES.filter(([, gate]) => !plays || !playing.includes(gate)).map(([line, gate]) => ({ line, works: !blocked.includes(gate) }))
  const always: { line: Line; works: boolean }[] = [...(plays ? [{ line: 'play' as const, works: true }] : []), { line: blocked.includes('file_writes') ? 'read' : 'restore', works: true }]
  return [...always, ...all.filter(it => it.works), ...all.filter(it => !it.works)]
}

/** Whether servers may be had by it: Stripe's states of which that is so. */
export const entitles = (it: Subscription | null): it is Subscription => it !== null && ['trialing', 'active', 'past_due', 'unpaid'].includes(it.status)

/** Whether one more server of this plan is covered by what was bought and granted, as the API counts it. A grant of any plan
 * covers whatever nothing else does; by a purchase whose money is still on its way nothing is had, whatever Stripe calls the
 * subscription meanwhile. */
export function hasRoom({ used, grants, subscription, checkout }: Pick<Billing, 'used' | 'grants' | 'subscription' | 'checkout'>, plan: string): boolean {
  const wanted = new Map(used.map(it => [it.plan, it.quantity]))
  wanted.set(plan, (wanted.get(plan) ?? 0) + 1)
  const had = [...grants, ...(entitles(subscription) && checkout?.state !== 'pending' ? subscription.items : [])]
  const sum = (of: string | null) => had.filter(it => it.plan === of).reduce((all, it) => all + it.quantity, 0)
  const beyond = [...wanted].reduce((all, [of, quantity]) => all + Math.max(0, quantity - sum(of)), 0)
  return beyond <= grants.filter(it => it.plan === null).reduce((all, it) => all + it.quantity, 0)
}

/** How somebody gets to a server of a plan: makes it, pays for it, adds it to the subscription, or has to wait or to ask. */
export type Way = 'create' | 'blocked' | 'pay' | 'pending' | 'add' | 'ask'

export function wayTo(billing: Billing | undefined, plan: string | undefined): Way {
  // What is not known does not stand in the way: the API says no where it has to.
  if (!billing || plan === undefined) return 'create'
  if (billing.blocked.includes('new_instances')) return 'blocked'
  if (hasRoom(billing, plan)) return 'create'
  if (billing.checkout?.state === 'pending') return 'pending'
  if (entitles(billing.subscription)) return 'add'
  return billing.sells ? 'pay' : 'ask'
}

/** How long somebody who comes back from paying is asked to wait before the page says that it has heard of nothing. */
export const WAIT_MS = 60_000

export type Return = 'cancelled' | 'waiting' | 'late' | 'pending' | 'paid'

/** What became of a purchase that somebody comes back from. */
export function returned(checkout: string, billing: Pick<Billing, 'checkout' | 'subscription'>, late: boolean): Return {
  if (checkout === 'cancelled') return 'cancelled'
  if (billing.checkout?.state === 'pending') return 'pending'
  if (entitles(billing.subscription)) return 'paid'
  return late ? 'late' : 'waiting'
}

/** Whether a plan can be chosen: nothing is there that it would be bought beside. */
export const canChoose = ({ sells, subscription, checkout }: Billing): boolean => sells && !entitles(subscription) && checkout?.state !== 'pending'

export type InvoiceState = 'paid' | 'processing' | 'open' | 'written_off' | 'void' | 'unknown'

export function invoiceState({ status, processing, remaining_minor }: Invoice): InvoiceState {
  if (status === 'paid' || status === 'void') return status
  if (processing) return 'processing'
  if (status === 'uncollectible') return 'written_off'
  if (status === 'open') return remaining_minor > 0 ? 'open' : 'paid'
  return 'unknown'
}

/** What a spreadsheet would take for a formula. */
const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^-?\d+(\.\d+)?$/

/** A value as text and nothing else, whatever it begins with. */
function cell(value: string): string {
  const harmless = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

/** An amount with a point, whichever language somebody reads it in. */
const amount = (minor: number, currency: string) => {
  const digits = minorDigits(currency)
  return (minor / 10 ** digits).toFixed(digits)
}

/** Invoices for a spreadsheet (RFC 4180), with the headings given. */
export function csv(headings: readonly string[], invoices: readonly Invoice[], state: (invoice: Invoice) => string): string {
  const rows = invoices.map(it => [it.number ?? it.id, it.created_at.slice(0, 10), it.currency, amount(it.total_minor, it.currency), amount(it.remaining_minor, it.currency), state(it)])
  return [headings, ...rows].map(row => row.map(cell).join(',')).join('\r\n') + '\r\n'
}
