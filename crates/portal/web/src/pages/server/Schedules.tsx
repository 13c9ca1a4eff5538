/** What a server does by itself, with times in the viewer's zone and in the schedule's. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { CalendarClock, Pause, Play, Plus, Trash2, Zap } from 'lucide-react'
import { useState, type SubmitEvent } from 'react'
import { api, unwrap, type Instance, type Schedule } from '../../api/client'
import { Problem } from '../../api/problem'
import { schedules } from '../../api/schedules'
import { day, inZone, viewerZone } from '../../model/format'
import { en } from '../../text/en'
import { Dialog } from '../../ui/Dialog'
import { Button, Empty, Field, ProblemNote, TextField } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { useInstance } from './context'

type Action = Schedule['action']
const ACTIONS: Action[] = ['backup', 'restart', 'start', 'stop', 'command']

export function Schedules() {
  const instance = useInstance()
  const queries = useQueryClient()
  const list = useQuery(schedules(instance.id))
  const [making, make] = useState<'new' | 'nightly' | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const run = async (act: () => Promise<unknown>, said?: string) => {
    setProblem(null)
    try {
      await act()
      if (said) toast({ text: said })
      await queries.invalidateQueries(schedules(instance.id))
    } catch (error) {
      setProblem(Problem.of(error))
    }
  }
  const of = (it: Schedule) => ({ path: { id: instance.id, schedule: it.id } })
  return (
    <section className="stack m" aria-label={en.schedules.title}>
      <div className="head mid">
        <div className="grow">
          <h2>{en.schedules.title}</h2>
          <p className="t-13 muted">{en.schedules.sub}</p>
        </div>
        <Button kind="primary" icon={Plus} onClick={() => make('new')}>
          {en.schedules.new}
        </Button>
      </div>
      {problem && <ProblemNote error={problem} />}
      {list.isError && <ProblemNote error={list.error} onRetry={() => void list.refetch()} />}
      {list.data?.length === 0 && (
        <Empty icon={CalendarClock} title={en.schedules.none} text={en.schedules.noneText}>
          <Button onClick={() => make('nightly')}>{en.schedules.nightly}</Button>
        </Empty>
      )}
      {list.data && list.data.length > 0 && (
        <div className="card">
          <table className="table fold">
            <thead>
              <tr>
                <th>{en.schedules.name}</th>
                <th>{en.schedules.action}</th>
                <th>{en.schedules.next}</th>
                <th>
                  <span className="visually-hidden">{en.common.more}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.data.map(it => (
                <tr key={it.id}>
                  <td>
                    <div className="stack t">
                      <span className="strong">
                        <bdi>{it.name}</bdi>
                      </span>
                      <code className="t-13 muted">{it.cron}</code>
                    </div>
                  </td>
                  <td>
                    {en.schedules.actions[it.action]}
                    {it.command && <code className="t-13 muted"> {it.command}</code>}
                  </td>
                  <td>
                    {it.enabled && it.next_run_at ? (
                      <div className="stack t">
                        <span>{day(it.next_run_at)}</span>
                        {it.time_zone !== viewerZone && <span className="t-13 muted">{en.schedules.theirs(inZone(it.next_run_at, it.time_zone), it.time_zone)}</span>}
                      </div>
                    ) : (
                      <span className="pill">{en.schedules.paused}</span>
                    )}
                  </td>
                  <td className="acts">
                    <div className="row">
                      <Button kind="ghost" size="s" icon={Zap} aria-label={`${en.schedules.run}: ${it.name}`} onClick={() => void run(() => unwrap(api.POST('/api/instances/{id}/schedules/{schedule}/run', { params: of(it) })), en.schedules.ran)} />
                      <Button
                        kind="ghost"
                        size="s"
                        icon={it.enabled ? Pause : Play}
                        aria-label={`${it.enabled ? en.schedules.pause : en.schedules.resume}: ${it.name}`}
                        onClick={() =>
                          void run(() =>
                            unwrap(
                              api.PATCH('/api/instances/{id}/schedules/{schedule}', {
                                params: { ...of(it), header: { 'If-Match': `"${it.row_version}"` } },
                                body: { enabled: !it.enabled },
                              }),
                            ),
                          )
                        }
                      />
                      <Button kind="ghost" size="s" icon={Trash2} aria-label={`${en.schedules.delete}: ${it.name}`} onClick={() => void run(() => unwrap(api.DELETE('/api/instances/{id}/schedules/{schedule}', { params: of(it) })))} />
                    </div>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {making && <ScheduleDialog instance={instance} nightly={making === 'nightly'} onClose={() => make(null)} onMade={() => void queries.invalidateQueries(schedules(instance.id))} />}
    </section>
  )
}

type Every = 'hourly' | 'daily' | 'weekly' | 'custom'

function cronOf(every: Every, at: string, weekday: number, custom: string): string {
  const [hour, minute] = at.split(':').map(Number)
  switch (every) {
    case 'hourly':
      return `${minute ?? 0} * * * *`
    case 'daily':
      return `${minute ?? 0} ${hour ?? 0} * * *`
    case 'weekly':
      return `${minute ?? 0} ${hour ?? 0} * * ${weekday}`
    case 'custom':
      return custom.trim()
  }
}

type DialogProps = { instance: Instance; nightly: boolean; onClose: () => void; onMade: () => void }

function ScheduleDialog({ instance, nightly, onClose, onMade }: DialogProps) {
  const [name, setName] = useState(nightly ? en.schedules.nightly : '')
  const [action, setAction] = useState<Action>('backup')
  const [command, setCommand] = useState('')
  const [every, setEvery] = useState<Every>('daily')
  const [at, setAt] = useState('04:00')
  const [weekday, setWeekday] = useState(0)
  const [custom, setCustom] = useState('0 4 * * *')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [working, work] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    work(true)
    setProblem(null)
    try {
      const body = { name: name.trim(), action, cron: cronOf(every, at, weekday, custom), time_zone: viewerZone, enabled: true, ...(action === 'command' && { command }) }
      await unwrap(api.POST('/api/instances/{id}/schedules', { params: { path: { id: instance.id } }, body }))
      onMade()
      onClose()
    } catch (error) {
      setProblem(Problem.of(error))
      work(false)
    }
  }
  const field = (of: string) => problem?.fields.get(of)
  return (
    <Dialog title={en.schedules.new} onClose={onClose}>
      <form className="stack m" onSubmit={submit}>
        <TextField label={en.schedules.name} value={name} onChange={setName} error={field('name')} maxLength={64} required autoFocus />
        <Field label={en.schedules.action} error={field('action')}>
          {props => (
            <select {...props} className="input" value={action} onChange={event => setAction(event.target.value as Action)}>
              {ACTIONS.map(it => (
                <option key={it} value={it}>
                  {en.schedules.actions[it]}
                </option>
              ))}
            </select>
          )}
        </Field>
        {action === 'command' && <TextField label={en.schedules.command} value={command} onChange={setCommand} error={field('command')} required />}
        <div className="fields">
          <Field label={en.schedules.when}>
            {props => (
              <select {...props} className="input" value={every} onChange={event => setEvery(event.target.value as Every)}>
                {(['hourly', 'daily', 'weekly', 'custom'] as const).map(it => (
                  <option key={it} value={it}>
                    {en.schedules[it]}
                  </option>
                ))}
              </select>
            )}
          </Field>
          {every === 'custom' ? (
            <TextField label={en.schedules.cron} hint={en.schedules.cronHint} value={custom} onChange={setCustom} error={field('cron')} required />
          ) : (
            <TextField label={en.schedules.at} type="time" value={at} onChange={setAt} error={field('cron')} required />
          )}
        </div>
        {every === 'weekly' && (
          <Field label={en.schedules.on}>
            {props => (
              <select {...props} className="input" value={weekday} onChange={event => setWeekday(Number(event.target.value))}>
                {en.schedules.weekdays.map((it, number) => (
                  <option key={it} value={number}>
                    {it}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        <p className="t-13 muted">{en.schedules.zone(viewerZone)}</p>
        {problem && problem.fields.size === 0 && <ProblemNote error={problem} />}
        <div className="row">
          <Button className="end" onClick={onClose}>
            {en.common.cancel}
          </Button>
          <Button type="submit" kind="primary" working={working && en.common.working}>
            {en.schedules.make}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
