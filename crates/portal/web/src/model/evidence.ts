/** What the rules looked at, as lines that a person can read. */
import { day, money } from './format'

export type Fact = { path: string; value: string | boolean }

const TIME = /^\d{4}-\d\d-\d\dT/

/** Each fact of it with where it stands. What is absent is left out; amounts and times are written as people write them. */
export function facts(of: unknown, path = ''): Fact[] {
  if (of === null || of === undefined) return []
  if (Array.isArray(of)) return of.flatMap((it, at) => facts(it, `${path} ${at + 1}`.trim()))
  if (typeof of === 'object') {
    const currency = 'currency' in of && typeof of.currency === 'string' && /^[a-z]{3}$/i.test(of.currency) ? of.currency.toUpperCase() : null
    return Object.entries(of).flatMap(([key, value]) => {
      const name = `${path} ${key}`.trim()
      if (currency && key.endsWith('_minor') && typeof value === 'number') return [{ path: name.replace(/_minor$/, ''), value: money(value, currency) }]
      return facts(value, name)
    })
  }
  if (typeof of === 'boolean') return [{ path, value: of }]
  const text = String(of as string | number)
  return [{ path, value: TIME.test(text) ? day(text) : text }]
}
