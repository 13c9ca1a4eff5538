/** The API: typed by its description, with failures as one kind of error. */
import createClient, { type Middleware } from 'openapi-fetch'
import type { components, paths } from './schema'
import { early } from './early'
import { Problem, readProblem } from './problem'
import { session } from './session'
import { viewHeader } from './viewing'

type Schemas = components['schemas']
export type Instance = Schemas['Instance']
export type InstanceStatus = Schemas['InstanceStatus']
export type ProcessStatus = Schemas['ProcessStatus']
export type Load = Schemas['Load']
export type LoadSample = Schemas['LoadSample']
export type Players = Schemas['Players']
export type Activity = Schemas['Activity']
export type Actor = Schemas['Actor']
export type Operation = Schemas['Operation']
export type OperationDetail = Schemas['OperationDetail']
export type Backup = Schemas['Backup']
export type Blueprint = Schemas['Blueprint']
export type Plan = Schemas['Plan']
export type Schedule = Schemas['Schedule']
export type ScheduleRun = Schemas['ScheduleRun']
export type ApiKey = Schemas['ApiKey']
export type Me = Schemas['Me']
export type FileEntry = Schemas['File']
export type Hold = Schemas['Hold']
export type OperatorOperation = Schemas['OperatorOperation']
export type OperatorOperationDetail = Schemas['OperatorOperationDetail']
export type Node = Schemas['Node']
export type OperatorInstance = Schemas['OperatorInstance']
export type OperatorCustomer = Schemas['OperatorCustomer']
export type Controller = Schemas['Controller']
export type Notification = Schemas['Notification']
export type Channel = Schemas['Channel']
export type Session = Schemas['Session']
export type Billing = Schemas['Billing']
export type Stage = Billing['stage']
export type Gate = Billing['blocked'][number]
export type Subscription = Schemas['Subscription']
export type Invoice = Schemas['Invoice']
export type Note = Schemas['Note']
export type PlanChange = Schemas['PlanChange']
export type Grant = Schemas['Grant']
export type Enforcement = Schemas['OperatorEnforcement']
export type EnforcementDetail = Schemas['OperatorEnforcementDetail']
export type EnforcementEvent = Schemas['EnforcementEvent']
export type PowerAction = Schemas['PowerChange']['action']

/** No answer of ours takes longer; the API itself gives up before. */
const DEADLINE_MS = 30_000

/** Requests that say themselves whether somebody is signed in. */
const PUBLIC = ['/api/auth/login', '/api/auth/register', '/api/auth/logout']

const guard: Middleware = {
  async onRequest({ request }) {
    const deadline = AbortSignal.timeout(DEADLINE_MS)
    const asked = new Request(request, { signal: AbortSignal.any([request.signal, deadline]) })
    Object.entries(viewHeader(new URL(request.url).pathname)).forEach(([name, value]) => asked.headers.set(name, value))
    return asked
  },
  async onResponse({ request, response }) {
    if (response.status !== 401 || !session.isKnown || PUBLIC.includes(new URL(request.url).pathname)) return response
    // The request waits until somebody has signed in over the page, and is then made again: nothing typed is lost.
    const again = request.clone()
    await session.ended()
    return fetch(again)
  },
  onError({ error }) {
    return error instanceof DOMException && error.name === 'AbortError' ? error : Problem.unreachable()
  },
}

const client = createClient<paths>({ baseUrl: location.origin, fetch: async request => (await early(request)) ?? fetch(keepBody(request)) })
client.use(guard)

/** A clone for a repetition is made of a request whose body was not read: so what is sent is a clone itself. */
const keepBody = (request: Request) => request.clone()

/** The data of an answer, or its problem as an exception. */
export async function unwrap<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer
  if (response.ok) return data as T
  throw readProblem(error, response)
}

export { client as api }
