/** One stream of events for all tabs of a browser: the tab that has the lock reads it and passes it on. What it says goes
 * into the cache; when it cannot be read, everything is asked for again every few seconds, and the page says so. */
import type { QueryClient, QueryKey } from '@tanstack/react-query'
import type { Instance, Operation } from './client'
import { backups, instance, instances, operations, operationsOf } from './queries'
import { session } from './session'

/** A comment comes every 15 s; after so long without anything the stream is dead. */
const SILENCE_MS = 40_000
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000]
/** After so many failures in a row the page says that it is not live, and polls. */
const FAILURES_UNTIL_POLLING = 3
const POLL_MS = 5_000

export type Liveness = 'connecting' | 'live' | 'polling'

type Event =
  | { type: 'instance'; data: Instance }
  | { type: 'instance_deleted'; data: { id: string } }
  | { type: 'operation'; data: Operation }
  | { type: 'resync' }
type Message = Event | { type: 'liveness'; data: Liveness }

let liveness: Liveness = 'connecting'
let since = Date.now()
const listeners = new Set<() => void>()

export const live = {
  get: () => liveness,
  /** When the data was last known to be true. */
  since: () => since,
  subscribe: (listener: () => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}

function setLiveness(next: Liveness): void {
  if (next === 'live' || liveness === 'live') since = Date.now()
  if (next === liveness) return
  liveness = next
  listeners.forEach(listener => listener())
}

/** Follows the events until it is aborted. */
export function follow(queries: QueryClient, signal: AbortSignal): void {
  const channel = new BroadcastChannel('zlh.events')
  const take = (message: Message) => {
    if (message.type === 'liveness') setLiveness(message.data)
    else apply(queries, message)
  }
  channel.onmessage = ({ data }) => take(data as Message)
  signal.addEventListener('abort', () => channel.close())
  const tell = (message: Message) => {
    if (signal.aborted) return
    take(message)
    channel.postMessage(message)
  }
  // Whoever comes later asks how it stands by reading everything once.
  navigator.locks
    .request('zlh.events', { signal }, () => lead(tell, signal))
    .catch(() => undefined)
  const others = setTimeout(() => liveness === 'connecting' && setLiveness('live'), 2_000)
  signal.addEventListener('abort', () => clearTimeout(others))
}

/** Asks for everything again and again, for a tab that must hear nothing of others. */
export function poll(queries: QueryClient, signal: AbortSignal): void {
  setLiveness('live')
  const timer = setInterval(() => apply(queries, { type: 'resync' }), 2 * POLL_MS)
  signal.addEventListener('abort', () => clearInterval(timer))
}

async function lead(tell: (message: Message) => void, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    const began = Date.now()
    await read(message => {
      failures = 0
      tell({ type: 'liveness', data: 'live' })
      if (message) tell(message)
    }, signal)
    if (signal.aborted) return
    failures = Date.now() - began > SILENCE_MS ? 1 : failures + 1
    if (failures >= FAILURES_UNTIL_POLLING) {
      tell({ type: 'liveness', data: 'polling' })
      tell({ type: 'resync' })
      await sleep(POLL_MS, signal)
    } else {
      await sleep(PAUSES_MS[failures] ?? POLL_MS, signal)
    }
  }
}

/** Reads one stream to its end, whatever ends it. */
async function read(tell: (event: Event | null) => void, signal: AbortSignal): Promise<void> {
  const silence = new AbortController()
  let timer = setTimeout(() => silence.abort(), SILENCE_MS)
  try {
    const response = await fetch('/api/events', {
      headers: { accept: 'text/event-stream' },
      signal: AbortSignal.any([signal, silence.signal]),
    })
    if (response.status === 401) await session.ended()
    if (!response.ok || !response.body) return
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let rest = ''
    for (;;) {
      const { done, value } = await text.read()
      if (done) return
      clearTimeout(timer)
      timer = setTimeout(() => silence.abort(), SILENCE_MS)
      const parts = (rest + value).split('\n\n')
      rest = parts.pop() ?? ''
      if (parts.length === 0) tell(null)
      for (const part of parts) tell(parse(part))
    }
  } catch {
    // Cut off, silent or ended by us: the caller decides what follows.
  } finally {
    clearTimeout(timer)
  }
}

function parse(block: string): Event | null {
  const field = (name: string) =>
    block
      .split('\n')
      .filter(line => line.startsWith(`${name}:`))
      .map(line => line.slice(name.length + 1).trimStart())
      .join('\n')
  const type = field('event')
  if (!type) return null
  return { type, data: JSON.parse(field('data') || 'null') } as Event
}

/** Puts what an event says into the cache. */
export function apply(queries: QueryClient, event: Event): void {
  switch (event.type) {
    case 'resync':
      void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'blueprints' && queryKey[0] !== 'plans' })
      break
    case 'instance': {
      const now = event.data
      const newer = (old: Instance | undefined) => (old && old.row_version > now.row_version ? old : now)
      set(queries, instance(now.id).queryKey, newer)
      set(queries, instances.queryKey, (list?: Instance[]) => list && put(list, now, newer))
      void queries.invalidateQueries({ queryKey: ['status', now.id] })
      void queries.invalidateQueries({ queryKey: ['activity', now.id] })
      break
    }
    case 'instance_deleted':
      set(queries, instances.queryKey, (list?: Instance[]) => list?.filter(it => it.id !== event.data.id))
      void queries.invalidateQueries({ queryKey: ['instance', event.data.id] })
      break
    case 'operation': {
      const now = event.data
      const newer = (old: Operation | undefined) => (old?.finished_at ? old : now)
      set(queries, operations.queryKey, (list?: Operation[]) => list && put(list, now, newer))
      set(queries, operationsOf(now.instance_id).queryKey, (list?: Operation[]) => list && put(list, now, newer))
      void queries.invalidateQueries({ queryKey: ['operation', now.id] })
      if (now.backup_id) void queries.invalidateQueries(backups(now.instance_id))
      void queries.invalidateQueries({ queryKey: ['activity', now.instance_id] })
      if (now.finished_at) void queries.invalidateQueries({ queryKey: ['instance', now.instance_id] })
      break
    }
  }
}

/** Changes what is known. An answer that is under way was perhaps read before this change and would undo it: it is asked
 * for once more. */
function set<T>(queries: QueryClient, queryKey: QueryKey, change: (old: T | undefined) => T | undefined): void {
  queries.setQueryData<T>(queryKey, change)
  if (queries.isFetching({ queryKey, exact: true }) > 0) void queries.invalidateQueries({ queryKey, exact: true })
}

/** Replaces it in its place; what is new comes first, as the API lists it. */
function put<T extends { id: string }>(list: T[], now: T, newer: (old: T | undefined) => T): T[] {
  const at = list.findIndex(it => it.id === now.id)
  if (at < 0) return [newer(undefined), ...list]
  return list.map((it, index) => (index === at ? newer(it) : it))
}

const sleep = (ms: number, signal: AbortSignal) =>
  new Promise<void>(resolve => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
