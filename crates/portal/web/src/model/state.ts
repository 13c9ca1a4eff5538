/** How a server is, in one word: the first of these that is true. The rows of the API are the only source; nothing is
 * concluded from what somebody has clicked. */
import type { Instance, Operation, ProcessStatus } from '../api/client'
import { en } from '../text/en'

export type Tone = 'ok' | 'info' | 'warn' | 'bad' | 'off'
export type Mark = 'dot' | 'spin' | 'clock' | 'help' | 'pause' | 'cross' | 'warning' | 'square' | 'cloud'

export type State = {
  key: 'deleting' | 'stuck' | 'queued' | 'creating' | 'failed' | 'held' | 'silent' | 'crashed' | 'starting' | 'stopping' | 'running' | 'stopped' | 'unknown'
  word: string
  tone: Tone
  mark: Mark
  /** Whether it is a guess: shown with a dashed edge. */
  unsure?: boolean
}

export type Known = {
  instance: Instance
  /** Its newest operation, if any is known. */
  operation?: Operation | undefined
  /** What its agent says; `null` when the agent cannot be reached. */
  status?: ProcessStatus | null | undefined
  /** Whether nothing of this can be known to be true now. */
  stale?: boolean
}

export const isActive = (operation: Operation | undefined): operation is Operation =>
  operation !== undefined && operation.finished_at === null

export function stateOf({ instance, operation, status, stale = false }: Known): State {
  const state = current(instance, operation, status)
  return stale && state.key !== 'failed'
    ? { ...state, word: en.state.stale(state.word), tone: 'off', mark: 'cloud', unsure: true }
    : state
}

function current(instance: Instance, operation: Operation | undefined, status: ProcessStatus | null | undefined): State {
  if (isActive(operation) && operation.state === 'stuck') return { key: 'stuck', word: en.state.stuck, tone: 'warn', mark: 'help' }
  if (instance.lifecycle === 'deleting') return { key: 'deleting', word: en.state.deleting, tone: 'off', mark: 'spin' }
  if (instance.lifecycle === 'failed') return { key: 'failed', word: en.state.failed, tone: 'bad', mark: 'cross' }
  if (instance.lifecycle === 'provisioning') return creating(operation)
  if (instance.holds.length > 0) return { key: 'held', word: en.state.held(instance.holds.map(hold => hold.reason.code)), tone: 'warn', mark: 'pause' }
  if (status === null) return { key: 'silent', word: en.state.silent, tone: 'off', mark: 'cloud', unsure: true }
  switch (status?.state ?? instance.observed_power) {
    case 'crashed':
    case 'error':
      return { key: 'crashed', word: en.state.crashed, tone: 'bad', mark: 'warning' }
    case 'starting':
    case 'installing':
    case 'verifying':
      return { key: 'starting', word: en.state.starting, tone: 'info', mark: 'spin' }
    case 'stopping':
      return { key: 'stopping', word: en.state.stopping, tone: 'off', mark: 'spin' }
    case 'running':
      return { key: 'running', word: en.state.running, tone: 'ok', mark: 'dot' }
    case 'stopped':
    case 'idle':
      return { key: 'stopped', word: en.state.stopped, tone: 'off', mark: 'square' }
    default:
      // It was looked at, and nobody answered; or nobody has looked yet.
      return instance.last_heard_at
        ? { key: 'silent', word: en.state.silent, tone: 'off', mark: 'cloud', unsure: true }
        : { key: 'unknown', word: en.state.unknown, tone: 'off', mark: 'cloud', unsure: true }
  }
}

function creating(operation: Operation | undefined): State {
  if (!operation || operation.state === 'queued') return { key: 'queued', word: en.state.queued, tone: 'info', mark: 'clock' }
  const word = operation.state === 'undoing' ? en.state.undoing : en.state.creating
  return { key: 'creating', word, tone: 'info', mark: 'spin' }
}

/** What else goes on with a server that is there: said beside its state. */
export function busyWith(operation: Operation | undefined): string | null {
  if (!isActive(operation) || operation.state === 'stuck') return null
  const { kind } = operation
  return kind === 'backup' || kind === 'restore' || kind === 'verify' || kind === 'change_plan' ? en.state[kind] : null
}

/** Whether its owner should look at it. */
export const needsAttention = (state: State) => ['stuck', 'failed', 'held', 'crashed', 'silent'].includes(state.key)

const STEPS: Record<Operation['kind'], NonNullable<Operation['step']>[]> = {
  create: ['create_container', 'start_container', 'enrol_agent', 'install', 'start_service', 'await_ready', 'publish_edge', 'mark_active'],
  delete: ['withdraw_edge', 'stop_service', 'stop_container', 'delete_container', 'mark_deleted'],
  backup: ['store_archive', 'mark_backed_up'],
  restore: ['stage_backup', 'pause_service', 'swap_files', 'resume_service', 'mark_restored'],
  verify: ['check_backup', 'mark_verified'],
  change_plan: ['pause_for_resize', 'resize_container', 'resume_resized', 'mark_plan_changed'],
}

export const stepsOf = (kind: Operation['kind']) => STEPS[kind]

/** Where an operation is: which step of how many, from 1; 0 before the first. */
export function position(operation: Operation): { at: number; of: number } {
  const steps = STEPS[operation.kind]
  return { at: operation.step ? steps.indexOf(operation.step) + 1 : 0, of: steps.length }
}
