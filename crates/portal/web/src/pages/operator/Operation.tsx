/** One operation with its journal, and what to do about it. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { Check, ChevronRight, CircleAlert, Ellipsis, Play, Undo2, X, type LucideIcon } from 'lucide-react'
import { useState, type SubmitEvent } from 'react'
import { api, unwrap, type OperatorOperationDetail } from '../../api/client'
import { Problem } from '../../api/problem'
import { anyOperation } from '../../api/queries'
import { clock, day } from '../../model/format'
import { stepsOf } from '../../model/state'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { Dialog } from '../../ui/Dialog'
import { Button, CopyButton, Icon, ProblemNote, TextField } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { OperationPill } from './OperationPill'

type Step = OperatorOperationDetail['steps'][number]

export function OperationPage() {
  useTitle(en.operator.operation)
  const { id } = useParams({ strict: false }) as { id: string }
  const found = useQuery(anyOperation(id))
  const [resuming, resume] = useState(false)
  if (found.isError) return <ProblemNote error={found.error} onRetry={() => void found.refetch()} />
  const operation = found.data
  if (!operation) return null
  return (
    <>
      <nav className="crumbs">
        <Link to="/op">{en.operator.operations}</Link>
        <Icon of={ChevronRight} size="s" />
        <code>{operation.id}</code>
      </nav>
      <div className="head mid">
        <div className="grow row wrap">
          <h1>{en.operator.kind[operation.kind]}</h1>
          <OperationPill state={operation.state} />
        </div>
        {operation.state === 'stuck' && (
          <Button kind="primary" icon={Play} onClick={() => resume(true)}>
            {en.operator.resume}
          </Button>
        )}
      </div>
      {operation.failure && (
        <div className="note bad">
          <Icon of={CircleAlert} />
          <div className="grow stack t">
            <p className="t">{operation.failure.message}</p>
            {operation.step_detail && <p>{operation.step_detail}</p>}
            <p className="t-13">
              <code>{operation.failure.code}</code>
            </p>
          </div>
        </div>
      )}
      <div className="two">
        <Journal operation={operation} />
        <aside className="card">
          <header>
            <h2>{en.operator.facts}</h2>
          </header>
          <dl className="facts pad t-13">
            <dt>{en.operator.asked}</dt>
            <dd>{day(operation.created_at)}</dd>
            <dt>{en.operator.began}</dt>
            <dd>{operation.started_at ? clock(operation.started_at) : '–'}</dd>
            <dt>{en.operator.ended}</dt>
            <dd>{operation.finished_at ? clock(operation.finished_at) : '–'}</dd>
            <dt>{en.operator.lost}</dt>
            <dd className="num">{operation.interruption_count}</dd>
            <dt>{en.operator.instance}</dt>
            <dd>
              <CopyButton text={operation.instance_id} />
            </dd>
            <dt>{en.operator.customer}</dt>
            <dd>
              <CopyButton text={operation.customer_id} />
            </dd>
          </dl>
        </aside>
      </div>
      {resuming && <Resume id={id} onClose={() => resume(false)} />}
    </>
  )
}

const signs: Record<Step['state'], [LucideIcon, string]> = {
  applying: [Ellipsis, ''],
  applied: [Check, 'ok'],
  undone: [Undo2, 'undone'],
  undo_failed: [X, 'bad'],
}

function Journal({ operation }: { operation: OperatorOperationDetail }) {
  const journal = new Map(operation.steps.map(step => [step.name, step]))
  return (
    <section className="card" aria-label={en.operator.journal}>
      <header>
        <h2>{en.operator.journal}</h2>
      </header>
      <ol className="journal">
        {stepsOf(operation.kind).map(name => {
          const step = journal.get(name)
          const [sign, tone] = step ? signs[step.state] : [Ellipsis, 'wait']
          return (
            <li key={name} className={`step ${tone}`}>
              <span className="node">
                <Icon of={sign} size="s" />
              </span>
              <div className="grow stack t">
                <div className="row">
                  <span className="strong">{en.operatorStep(name)}</span>
                  <span className="end t-13 faint">{step ? en.operator.stepState[step.state] : en.operator.notBegun}</span>
                </div>
                <span className="t-13 muted">
                  <code>{name}</code>
                  {step && ` · ${clock(step.started_at)}${step.attempt_count > 1 ? ` · ${en.operator.attempts(step.attempt_count)}` : ''}`}
                </span>
                {step?.error && <pre className="trace">{step.error}</pre>}
              </div>
            </li>
          )
        })}
      </ol>
    </section>
  )
}

function Resume({ id, onClose }: { id: string; onClose: () => void }) {
  const queries = useQueryClient()
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [working, work] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    work(true)
    try {
      const operation = await unwrap(api.POST('/api/operator/operations/{id}/resume', { params: { path: { id } }, body: { reason } }))
      queries.setQueryData(anyOperation(id).queryKey, operation)
      void queries.invalidateQueries({ queryKey: ['operator', 'operations'] })
      toast({ text: en.operator.resumed })
      onClose()
    } catch (error) {
      setProblem(Problem.of(error))
      work(false)
    }
  }
  return (
    <Dialog title={en.operator.resumeAsk} onClose={onClose}>
      <p className="muted">{en.operator.resumeText}</p>
      <form className="stack m" onSubmit={submit}>
        <TextField label={en.operator.reason} hint={en.operator.reasonHint} value={reason} onChange={setReason} error={problem?.fields.get('reason') ?? problem?.message} maxLength={500} required autoFocus />
        <div className="row">
          <Button className="end" onClick={onClose}>
            {en.common.cancel}
          </Button>
          <Button type="submit" kind="primary" disabled={reason.trim().length < 3} working={working && en.common.working}>
            {en.operator.resume}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
