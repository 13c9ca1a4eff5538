/** What went wrong, as the API says it (RFC 9457), or as the browser noticed it. */
import { en } from '../text/en'
import type { components } from './schema'

type Body = components['schemas']['Problem']
type Gate = components['schemas']['Billing']['blocked'][number]

/** Refusals to which the billing page is the way out. */
const UNPAID = ['payment_open', 'subscription_required']

let unpaid = () => {}

/** Calls this after each answer that says that something has to be paid, wherever it was heard. */
export function whenUnpaid(listener: () => void): void {
  unpaid = listener
}

export class Problem extends Error {
  readonly status: number
  readonly code: string
  /** For the small print: what support looks up. */
  readonly request: string | null
  readonly fields: ReadonlyMap<string, string>
  /** Seconds until it may be tried again. */
  readonly retryAfter: number | null

  constructor(of: { status: number; code: string; detail: string; request?: string; fields?: Body['errors']; retryAfter?: number | null }) {
    super(of.detail)
    this.name = 'Problem'
    this.status = of.status
    this.code = of.code
    this.request = of.request ?? null
    this.fields = new Map((of.fields ?? []).map(({ field, detail }) => [field, detail]))
    this.retryAfter = of.retryAfter ?? null
  }

  /** Whether the billing page says what can be done about it. */
  get needsPayment(): boolean {
    return UNPAID.includes(this.code)
  }

  /** No answer at all. */
  static unreachable(): Problem {
    return new Problem({ status: 0, code: 'unreachable', detail: en.problem.unreachable })
  }

  static of(error: unknown): Problem {
    return error instanceof Problem ? error : Problem.unreachable()
  }
}

const isBody = (it: unknown): it is Body => typeof it === 'object' && it !== null && 'code' in it && 'detail' in it

export function readProblem(error: unknown, response: Response): Problem {
  const seconds = Number(response.headers.get('retry-after'))
  const retryAfter = seconds > 0 ? seconds : null
  if (!isBody(error)) {
    return new Problem({ status: response.status, code: 'unexpected', detail: en.problem.unexpected(response.status), retryAfter })
  }
  const { status, code, instance, errors } = error
  if (status === 402) unpaid()
  // The API's own words name the stage and the gate, which are for programs.
  const gate = error.payment?.gate as Gate | undefined
  const detail = (gate && en.payment.refused(gate)) ?? error.detail
  return new Problem({ status, code, detail, request: instance.replace('urn:request:', ''), fields: errors, retryAfter })
}
