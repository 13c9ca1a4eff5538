/** The console's state machine: `idle → connecting → live ⇄ reconnecting → closed`. Pure: what has happened goes in, the next
 * state and what is to be done come out, so that every way out of a state can be tested. Sockets and timers are `driver.ts`. */
import type { Players, ProcessStatus } from '../api/client'

/** No answer takes longer. */
export const DEADLINE_MS = 10_000
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000]
/** Entries that are kept to look at. More are in the history, which can be downloaded. */
export const MOST_ENTRIES = 100_000

export type Entry =
  | { kind: 'line'; seq: number; at: string; text: string }
  | { kind: 'gap'; from: number; to: number }
  | { kind: 'anew' }

export type Stats = { cpu_percent: number | null; memory_bytes: number; disk_bytes: number; disk_limit_bytes: number | null; uptime_ms: number; players: Players | null }

/** Input that was typed and has not been confirmed. */
export type Pending = { id: number; text: string; error: string | null }

export type Phase =
  | { name: 'idle' }
  | { name: 'connecting' }
  | { name: 'live' }
  /** Tries again after `pauseMs`. */
  | { name: 'reconnecting'; attempt: number; pauseMs: number; reason: string | null }
  /** Does not try again by itself: it would be told the same. */
  | { name: 'closed'; reason: string; code: string }

export type Console = {
  phase: Phase
  mode: 'pipes' | 'pty'
  entries: readonly Entry[]
  /** The number of the output that is wanted next; `null` before the first. */
  next: number | null
  status: ProcessStatus | null
  stats: Stats | null
  pending: readonly Pending[]
  /** How large a terminal is here; `null` as long as none was drawn. */
  size: { columns: number; rows: number } | null
  newestId: number
  /** Tries in a row that did not reach the server. */
  attempts: number
  /** What the server said before it closed the socket. */
  lastWord: { code: string; detail: string } | null
}

/** A piece of output. */
export type Output = { seq: number; at: string; text: string }

export type Message =
  | { type: 'hello'; state: ProcessStatus | null; mode: 'pipes' | 'pty'; first: number; next: number }
  | { type: 'output'; entries: Output[] }
  | { type: 'gap'; from: number; to: number }
  | { type: 'state'; state: ProcessStatus }
  | ({ type: 'stats' } & Stats)
  | { type: 'input_result'; id: number | null; ok: boolean; code?: string; detail?: string }
  | { type: 'error'; code: string; detail: string; fatal: boolean }
  | { type: 'pong' }

export type Event =
  | { type: 'open' }
  | { type: 'message'; message: Message }
  | { type: 'closed'; code: number }
  | { type: 'deadline' }
  /** The pause is over, the tab or the network came back, or somebody pressed the button. */
  | { type: 'retry' }
  | { type: 'send'; text: string }
  | { type: 'drop_pending'; id: number }
  | { type: 'resize'; columns: number; rows: number }
  | { type: 'leave' }

/** What the driver does. Each state's timers and socket end when it is left: `disconnect` comes first wherever one could be. */
export type Effect =
  | { type: 'connect' }
  | { type: 'disconnect' }
  | { type: 'say'; id: number; text: string }
  | { type: 'tell_size'; columns: number; rows: number }
  | { type: 'start_deadline'; ms: number }
  | { type: 'start_pause'; ms: number }
  | { type: 'clear_timers' }

export const initial: Console = {
  phase: { name: 'idle' },
  mode: 'pipes',
  entries: [],
  next: null,
  status: null,
  stats: null,
  pending: [],
  size: null,
  newestId: 0,
  attempts: 0,
  lastWord: null,
}

type Step = readonly [Console, readonly Effect[]]

const connecting = (state: Console): Step => [
  { ...state, phase: { name: 'connecting' }, lastWord: null },
  [{ type: 'clear_timers' }, { type: 'disconnect' }, { type: 'connect' }, { type: 'start_deadline', ms: DEADLINE_MS }],
]

/** Up to a third more or less, so that not everybody comes back in the same moment. */
const jittered = (ms: number, random: number) => Math.round(ms * (0.7 + 0.6 * random))

function reconnecting(state: Console, attempt: number, pauseMs: number, reason: string | null): Step {
  return [
    { ...state, attempts: attempt, phase: { name: 'reconnecting', attempt, pauseMs, reason } },
    [{ type: 'clear_timers' }, { type: 'disconnect' }, { type: 'start_pause', ms: pauseMs }],
  ]
}

export function reduce(state: Console, event: Event, random = 0.5): Step {
  const { phase } = state
  switch (event.type) {
    case 'open':
      return phase.name === 'idle' || phase.name === 'closed' ? connecting(state) : [state, []]
    case 'retry':
      return phase.name === 'reconnecting' || phase.name === 'closed' || phase.name === 'idle' ? connecting(state) : [state, []]
    case 'deadline':
      return phase.name === 'connecting' ? pauseAfter(state, 'deadline', random) : [state, []]
    case 'closed':
      return phase.name === 'connecting' || phase.name === 'live' ? afterClose(state, event.code, random) : [state, []]
    case 'message':
      return phase.name === 'connecting' || phase.name === 'live' ? take(state, event.message) : [state, []]
    case 'send': {
      const id = state.newestId + 1
      const pending = { id, text: event.text, error: null }
      if (phase.name !== 'live') return [state, []]
      return [{ ...state, newestId: id, pending: [...state.pending, pending] }, [{ type: 'say', id, text: event.text }]]
    }
    case 'drop_pending':
      return [{ ...state, pending: state.pending.filter(it => it.id !== event.id) }, []]
    case 'resize': {
      const size = { columns: event.columns, rows: event.rows }
      return [{ ...state, size }, phase.name === 'live' ? [{ type: 'tell_size', ...size }] : []]
    }
    case 'leave':
      return [{ ...state, phase: { name: 'idle' } }, [{ type: 'clear_timers' }, { type: 'disconnect' }]]
  }
}

function pauseAfter(state: Console, reason: string | null, random: number): Step {
  const attempt = state.attempts + 1
  const pause = PAUSES_MS[Math.min(attempt, PAUSES_MS.length) - 1] ?? 30_000
  return reconnecting(state, attempt, jittered(pause, random), reason)
}

/** Codes of our own from 4400 on, and a message that is too big, would only come again. */
const isFinal = (code: number) => code >= 4400 || code === 1009

function afterClose(state: Console, code: number, random: number): Step {
  const { lastWord } = state
  if (isFinal(code)) {
    const reason = lastWord?.detail ?? ''
    return [{ ...state, phase: { name: 'closed', reason, code: lastWord?.code ?? String(code) } }, [{ type: 'clear_timers' }, { type: 'disconnect' }]]
  }
  // The successor of a process that ends is there in a moment.
  if (code === 1012 && state.phase.name === 'live') return reconnecting(state, 1, 0, lastWord?.detail ?? null)
  return pauseAfter(state, lastWord?.detail ?? null, random)
}

function take(state: Console, message: Message): Step {
  switch (message.type) {
    case 'hello': {
      const live = { ...state, attempts: 0, phase: { name: 'live' } as const, mode: message.mode, status: message.state ?? state.status }
      // Smaller numbers than those that were seen: another console.
      const anew = state.next !== null && message.next < state.next
      const entries = anew ? [...state.entries, { kind: 'anew' } as const] : state.entries
      const tellSize: Effect[] = message.mode === 'pty' && state.size ? [{ type: 'tell_size', ...state.size }] : []
      return [{ ...live, entries, next: anew ? null : state.next }, [{ type: 'clear_timers' }, ...tellSize]]
    }
    case 'output': {
      const wanted = state.next ?? 0
      const fresh = message.entries.filter(it => it.seq >= wanted)
      const last = fresh.at(-1)
      if (!last) return [state, []]
      return [{ ...state, entries: bounded(state.entries, fresh.map(it => ({ kind: 'line' as const, ...it }))), next: last.seq + 1 }, []]
    }
    case 'gap': {
      if (state.next !== null && message.to < state.next) return [state, []]
      const from = Math.max(message.from, state.next ?? 0)
      return [{ ...state, entries: bounded(state.entries, [{ kind: 'gap', from, to: message.to }]), next: message.to + 1 }, []]
    }
    case 'state':
      return [{ ...state, status: message.state }, []]
    case 'stats': {
      const { type: _, ...stats } = message
      return [{ ...state, stats }, []]
    }
    case 'input_result': {
      const error = message.ok ? null : (message.detail ?? message.code ?? '')
      const said = state.pending.find(it => it.id === message.id)?.text
      // What was refused before is said by now, if it was the same.
      const pending = message.ok
        ? state.pending.filter(it => it.id !== message.id && !(it.error !== null && it.text === said))
        : state.pending.map(it => (it.id === message.id ? { ...it, error } : it))
      return [{ ...state, pending }, []]
    }
    case 'error':
      return [{ ...state, lastWord: { code: message.code, detail: message.detail } }, []]
    case 'pong':
      return [state, []]
  }
}

function bounded(old: readonly Entry[], fresh: readonly Entry[]): readonly Entry[] {
  const all = [...old, ...fresh]
  return all.length > MOST_ENTRIES ? all.slice(all.length - MOST_ENTRIES) : all
}
