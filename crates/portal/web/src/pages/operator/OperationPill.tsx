import type { Operation } from '../../api/client'
import { en } from '../../text/en'

const tones: Record<Operation['state'], string> = { queued: 'info', running: 'info', undoing: 'warn', succeeded: 'ok', failed: 'bad', stuck: 'warn' }

export function OperationPill({ state }: { state: Operation['state'] }) {
  const works = state === 'running' || state === 'undoing'
  return (
    <span className={`pill ${tones[state]}`}>
      {works ? <span className="spin" /> : <span className={`dot ${tones[state]}`} />}
      {en.operator.states[state]}
    </span>
  )
}
