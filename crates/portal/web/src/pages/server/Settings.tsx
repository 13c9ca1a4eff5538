/** A server's name, facts, and its end. */
import { useQueryClient } from '@tanstack/react-query'
import { useState, type SubmitEvent } from 'react'
import { api, unwrap } from '../../api/client'
import { Problem } from '../../api/problem'
import { instance as instanceQuery, instances } from '../../api/queries'
import { useDelete } from '../../model/actions'
import { day } from '../../model/format'
import { en } from '../../text/en'
import { Confirm } from '../../ui/Dialog'
import { Button, CopyButton, Done, TextField } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { useInstance } from './context'
import { PlanOf } from './Plan'
import { useLeave } from './Server'

export function Settings() {
  const instance = useInstance()
  const queries = useQueryClient()
  const remove = useDelete()
  const leave = useLeave()
  const [name, setName] = useState(instance.name)
  const [state, setState] = useState<'idle' | 'saving' | 'saved'>('idle')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [asking, ask] = useState(false)
  const save = async (event: SubmitEvent) => {
    event.preventDefault()
    setState('saving')
    setProblem(null)
    try {
      // Against the version that is shown: whoever changed it meanwhile is not overwritten.
      const params = { path: { id: instance.id }, header: { 'If-Match': `"${instance.row_version}"` } }
      const saved = await unwrap(api.PATCH('/api/instances/{id}', { params, body: { name: name.trim() } }))
      queries.setQueryData(instanceQuery(instance.id).queryKey, saved)
      void queries.invalidateQueries(instances)
      setState('saved')
    } catch (error) {
      setProblem(Problem.of(error))
      setState('idle')
    }
  }
  return (
    <section className="stack l narrow" aria-label={en.settings.title}>
      <form className="card pad5 stack m" onSubmit={save}>
        <TextField label={en.settings.name} hint={en.settings.nameHint} value={name} maxLength={64} onChange={setName} error={problem?.fields.get('name') ?? problem?.message} required />
        <div className="row">
          <Button type="submit" kind="primary" disabled={name.trim() === '' || name.trim() === instance.name} working={state === 'saving' && en.common.working}>
            {en.common.save}
          </Button>
          {state === 'saved' && <Done>{en.settings.saved}</Done>}
        </div>
      </form>
      <div className="card">
        <header>
          <h2>{en.settings.facts}</h2>
        </header>
        <dl className="facts pad">
          <dt>{en.settings.address}</dt>
          <dd>{instance.address ? <CopyButton text={instance.address} /> : '–'}</dd>
          <dt>{en.settings.plan}</dt>
          <dd className="stack">
            <PlanOf instance={instance} />
          </dd>
          <dt>{en.settings.created}</dt>
          <dd>{day(instance.created_at)}</dd>
          <dt>{en.settings.id}</dt>
          <dd>
            <CopyButton text={instance.id} what={en.settings.id} />
          </dd>
        </dl>
      </div>
      <div className="card pad5 stack m">
        <h2>{en.settings.delete}</h2>
        <p className="muted">{en.settings.deleteText}</p>
        <div>
          <Button className="danger-text" disabled={instance.lifecycle === 'deleting'} onClick={() => ask(true)}>
            {en.settings.delete}
          </Button>
        </div>
      </div>
      {asking && (
        <Confirm
          title={en.settings.deleteAsk(instance.name)}
          steps={en.settings.deleteSteps}
          text={en.settings.deleteHint}
          name={instance.name}
          verb={en.settings.delete}
          onConfirm={async () => {
            await remove(instance)
            toast({ text: en.settings.deleting })
            leave()
          }}
          onClose={() => ask(false)}
        />
      )}
    </section>
  )
}
