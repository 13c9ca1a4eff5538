/** Numbers, sizes and times as the viewer reads them. */

/** A formatter is made when it is first needed: one takes a phone some 20 ms, and the first page needs none of them. */
function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

const whole = once(() => new Intl.NumberFormat('en'))
const shortTime = once(() => new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' }))
const date = once(() => new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long' }))
const dateOfYear = once(() => new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric' }))
const exactly = once(() => new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long' }))

export const viewerZone = once(() => Intl.DateTimeFormat().resolvedOptions().timeZone)
/** A whole number; only those from a thousand on are written with commas. */
export const count = (n: number) => (n > -1000 && n < 1000 ? String(Math.round(n)) : whole().format(Math.round(n)))
export const percent = (n: number) => `${count(n)} %`

/** A size in powers of 1024 with the names that people use for them. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024
    unit += 1
  }
  return `${n < 10 && unit > 0 ? Math.round(n * 10) / 10 : count(n)} ${units[unit]}`
}

/** Where Stripe counts other minor units than ISO 4217 does (docs.stripe.com/currencies, special cases). */
const STRIPE_DIGITS: Record<string, number> = { ISK: 2, UGX: 2, MGA: 0 }

/** How many digits of an amount in minor units stand behind the point. */
export const minorDigits = (currency: string): number =>
  STRIPE_DIGITS[currency] ?? new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2

/** An amount in the currency's minor unit, as people write it: `€10.00`. */
export function money(minor: number, currency: string): string {
  const digits = minorDigits(currency)
  return inCurrency(minor, currency, digits, digits)
}

/** The same of a price on a label, where nobody reads the cents that are none: `€10`. */
export function price(minor: number, currency: string): string {
  const digits = minorDigits(currency)
  return inCurrency(minor, currency, digits, minor % 10 ** digits === 0 ? 0 : digits)
}

const inCurrency = (minor: number, currency: string, digits: number, shown: number) =>
  new Intl.NumberFormat('en', { style: 'currency', currency, minimumFractionDigits: shown, maximumFractionDigits: shown }).format(minor / 10 ** digits)

/** Hours, minutes and seconds where the viewer is. By hand: a console asks for it thousands of times. */
export function clock(at: string | number): string {
  const then = new Date(at)
  return [then.getHours(), then.getMinutes(), then.getSeconds()].map(n => String(n).padStart(2, '0')).join(':')
}
export const minute = (at: string | number) => shortTime().format(new Date(at))
export const exact = (at: string) => exactly().format(new Date(at))

/** A moment of the last days, or a date. */
export function day(at: string, now = Date.now()): string {
  const then = new Date(at)
  const days = Math.round((startOfDay(now) - startOfDay(then.getTime())) / 86_400_000)
  if (days === 0) return `Today, ${shortTime().format(then)}`
  if (days === 1) return `Yesterday, ${shortTime().format(then)}`
  if (days === -1) return `Tomorrow, ${shortTime().format(then)}`
  const sameYear = then.getFullYear() === new Date(now).getFullYear()
  return `${(sameYear ? date() : dateOfYear()).format(then)}, ${shortTime().format(then)}`
}

/** A date, with its year unless that is the present one. */
export const dateOf = (at: string, now: string | number = Date.now()) =>
  (new Date(at).getFullYear() === new Date(now).getFullYear() ? date() : dateOfYear()).format(new Date(at))

/** A date with its year, whichever it is. */
export const fullDate = (at: string) => dateOfYear().format(new Date(at))

/** A moment within a sentence: `on 2 December`, and with its time once that matters. */
export function onDay(at: string, now: string | number = Date.now()): string {
  const days = Math.round((startOfDay(new Date(at).getTime()) - startOfDay(new Date(now).getTime())) / 86_400_000)
  if (days === 0) return `today at ${minute(at)}`
  if (days === 1) return `tomorrow at ${minute(at)}`
  return `on ${dateOf(at, now)}`
}

const startOfDay = (at: number) => new Date(at).setHours(0, 0, 0, 0)

/** How long ago, as one says it. */
export function ago(at: string, now = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - new Date(at).getTime()) / 1000))
  if (seconds < 5) return 'just now'
  if (seconds < 60) return `${seconds} s ago`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min ago`
  const hours = Math.round(minutes / 60)
  return hours < 24 ? `${hours} h ago` : day(at, now)
}

/** Which time it is elsewhere, with its day. */
export const inZone = (at: string, timeZone: string) =>
  new Intl.DateTimeFormat('en-GB', { timeZone, weekday: 'short', hour: '2-digit', minute: '2-digit' }).format(new Date(at))
