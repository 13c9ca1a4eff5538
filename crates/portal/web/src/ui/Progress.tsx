/** How far an operation is: a segment a step, the step's words, and the detail of the step. */
import type { Operation } from '../api/client'
import { position } from '../model/state'
import { en } from '../text/en'
import { classes } from './parts'

export function OperationProgress({ operation }: { operation: Operation }) {
  const { at, of } = position(operation)
  const failed = operation.state === 'failed' || operation.state === 'undoing'
  const word = operation.state === 'queued' ? en.state.queuedText : operation.step ? en.steps[operation.step] : en.state.creating
  return (
    <div className="stack">
      <div className="row t-13">
        <span className="strong" role="status">
          {word}
        </span>
        {at > 0 && <span className="end muted num">{en.servers.step(at, of)}</span>}
      </div>
      <div className="steps" role="progressbar" aria-label={en.state.progress} aria-valuemin={0} aria-valuemax={of} aria-valuenow={at} aria-valuetext={word} data-of={of}>
        {Array.from({ length: of }, (_, step) => (
          <i key={step} className={classes(step + 1 < at && 'done', step + 1 === at && (failed ? 'fail' : 'now'))} />
        ))}
      </div>
      {operation.step_detail && !failed && <span className="t-13 muted">{operation.step_detail}</span>}
    </div>
  )
}
