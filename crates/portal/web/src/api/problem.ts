/** What went wrong, as the API says it (RFC 9457), or as the browser noticed it. */
import { en } from '../text/en'
import type { components } from './schema'

type Body = components['schemas']['Problem']

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
  const { status, code, detail, instance, errors } = error
  return new Problem({ status, code, detail, request: instance.replace('urn:request:', ''), fields: errors, retryAfter })
}
