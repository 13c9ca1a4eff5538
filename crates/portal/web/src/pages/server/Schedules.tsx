/** What a server does by itself, with times in the viewer's zone and in the schedule's. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { CalendarClock, ListChecks, Pause, Pencil, Play, Plus, Trash2, Zap } from 'lucide-react'
import { useDeferredValue, useState } from 'react'
import { api, unwrap, type Instance, type Schedule } from '../../api/client'
import { Problem } from '../../api/problem'
import { runsOf, schedules, timetable } from '../../api/schedules'
import { day, inZone, viewerZone } from '../../model/format'
import { en } from '../../text/en'
import { Dialog, FormDialog } from '../../ui/Dialog'
import { ListTable } from '../../ui/ListTable'
import { Ago, Button, classes, Empty, Field, ProblemNote, TextField } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { Unpaid } from '../../ui/Unpaid'
import { useInstance } from './context'

type Action = Schedule['action']
const ACTIONS: Action[] = ['backup', 'restart', 'start', 'stop', 'command']

export function Schedules() {
  const instance = useInstance()
  const queries = useQueryClient()
  const list = useQuery(schedules(instance.id))
  const [making, make] = useState<Schedule | 'new' | 'nightly' | null>(null)
  const [looking, look] = useState<Schedule | null>(null)
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
      <Unpaid gate="new_backups" />
      {problem && <ProblemNote error={problem} />}
      <ListTable
        list={list}
        empty={
          <Empty icon={CalendarClock} title={en.schedules.none} text={en.schedules.noneText}>
            <Button onClick={() => make('nightly')}>{en.schedules.nightly}</Button>
          </Empty>
        }
        headings={[en.schedules.name, en.schedules.action, en.schedules.next]}
        acts
      >
        {it => (
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
                  {it.time_zone !== viewerZone() && <span className="t-13 muted">{en.schedules.theirs(inZone(it.next_run_at, it.time_zone), it.time_zone)}</span>}
                </div>
              ) : (
                <span className="pill">{en.schedules.paused}</span>
              )}
            </td>
            <td className="acts">
              <div className="row">
                <Button kind="ghost" size="s" icon={ListChecks} aria-label={`${en.schedules.runs}: ${it.name}`} onClick={() => look(it)} />
                <Button kind="ghost" size="s" icon={Pencil} aria-label={`${en.schedules.edit}: ${it.name}`} onClick={() => make(it)} />
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
        )}
      </ListTable>
      {making && <ScheduleDialog instance={instance} of={making} onClose={() => make(null)} onDone={() => void queries.invalidateQueries(schedules(instance.id))} />}
      {looking && <Runs instance={instance} schedule={looking} onClose={() => look(null)} />}
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

/** The parts of the builder that make this cron expression, or the expression itself. */
function partsOf(cron: string): { every: Every; at: string; weekday: number } {
  const two = (n: string | undefined) => (n ?? '0').padStart(2, '0')
  const hourly = /^(\d+) \* \* \* \*$/.exec(cron)
  if (hourly) return { every: 'hourly', at: `00:${two(hourly[1])}`, weekday: 0 }
  const daily = /^(\d+) (\d+) \* \* (\*|[0-6])$/.exec(cron)
  if (daily) return { every: daily[3] === '*' ? 'daily' : 'weekly', at: `${two(daily[2])}:${two(daily[1])}`, weekday: Number(daily[3]) || 0 }
  return { every: 'custom', at: '04:00', weekday: 0 }
}

type DialogProps = { instance: Instance; of: Schedule | 'new' | 'nightly'; onClose: () => void; onDone: () => void }

function ScheduleDialog({ instance, of, onClose, onDone }: DialogProps) {
  const edited = typeof of === 'object' ? of : null
  const first = edited?.cron ?? '0 4 * * *'
  const [name, setName] = useState(edited?.name ?? (of === 'nightly' ? en.schedules.nightly : ''))
  const [action, setAction] = useState<Action>(edited?.action ?? 'backup')
  const [command, setCommand] = useState(edited?.command ?? '')
  const [{ every, at, weekday }, setTimes] = useState(() => partsOf(first))
  const [custom, setCustom] = useState(first)
  const zone = edited?.time_zone ?? viewerZone()
  const cron = cronOf(every, at, weekday, custom)
  const change = (some: Partial<{ every: Every; at: string; weekday: number }>) => setTimes({ every, at, weekday, ...some })
  const save = async () => {
    const body = { name: name.trim(), action, cron, time_zone: zone, ...(action === 'command' && { command }) }
    if (edited) {
      const params = { path: { id: instance.id, schedule: edited.id }, header: { 'If-Match': `"${edited.row_version}"` } }
      await unwrap(api.PATCH('/api/instances/{id}/schedules/{schedule}', { params, body }))
    } else {
      await unwrap(api.POST('/api/instances/{id}/schedules', { params: { path: { id: instance.id } }, body: { ...body, enabled: true } }))
    }
    onDone()
  }
  return (
    <FormDialog title={edited ? en.schedules.edit : en.schedules.new} verb={edited ? en.common.save : en.schedules.make} ready={name.trim() !== ''} onDone={save} onClose={onClose}>
      {problem => (
        <>
          <TextField label={en.schedules.name} value={name} onChange={setName} error={problem?.fields.get('name')} maxLength={64} required autoFocus />
          <Field label={en.schedules.action} error={problem?.fields.get('action')}>
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
          {action === 'command' && <TextField label={en.schedules.command} value={command} onChange={setCommand} error={problem?.fields.get('command')} required />}
          <div className="fields">
            <Field label={en.schedules.when}>
              {props => (
                <select {...props} className="input" value={every} onChange={event => change({ every: event.target.value as Every })}>
                  {(['hourly', 'daily', 'weekly', 'custom'] as const).map(it => (
                    <option key={it} value={it}>
                      {en.schedules[it]}
                    </option>
                  ))}
                </select>
              )}
            </Field>
            {every === 'custom' ? (
              <TextField label={en.schedules.cron} hint={en.schedules.cronHint} value={custom} onChange={setCustom} error={problem?.fields.get('cron')} required />
            ) : (
              <TextField label={en.schedules.at} type="time" value={at} onChange={value => change({ at: value })} error={problem?.fields.get('cron')} required />
            )}
          </div>
          {every === 'weekly' && (
            <Field label={en.schedules.on}>
              {props => (
                <select {...props} className="input" value={weekday} onChange={event => change({ weekday: Number(event.target.value) })}>
                  {en.schedules.weekdays.map((it, number) => (
                    <option key={it} value={number}>
                      {it}
                    </option>
                  ))}
                </select>
              )}
            </Field>
          )}
          <NextRuns cron={cron} zone={zone} />
        </>
      )}
    </FormDialog>
  )
}

/** When it would run, as the server reckons it: in the viewer's zone, and in the schedule's where that is another one. */
function NextRuns({ cron, zone }: { cron: string; zone: string }) {
  const times = useQuery(timetable(useDeferredValue(cron), zone))
  if (times.isError) return <p className="t-13 warn-t">{Problem.of(times.error).message}</p>
  return (
    <div className="stack t t-13 muted" aria-live="polite">
      <span>{en.schedules.zone(zone)}</span>
      <span className="strong">{en.schedules.nextRuns}</span>
      <ol className="stack next-runs">
        {times.data?.next_run_at.map(at => (
          <li key={at}>
            {day(at)}
            {zone !== viewerZone() && ` · ${en.schedules.theirs(inZone(at, zone), zone)}`}
          </li>
        ))}
      </ol>
    </div>
  )
}

/** What became of its times, with the reason of each that was not. */
function Runs({ instance, schedule, onClose }: { instance: Instance; schedule: Schedule; onClose: () => void }) {
  const list = useQuery(runsOf(instance.id, schedule.id))
  return (
    <Dialog title={en.schedules.runsOf(schedule.name)} onClose={onClose} wide foot={<Button onClick={onClose}>{en.common.close}</Button>}>
      {list.isError && <ProblemNote error={list.error} onRetry={() => void list.refetch()} />}
      {list.data?.length === 0 && <p className="muted">{en.schedules.noRuns}</p>}
      <ul className="feed">
        {list.data?.map(it => (
          <li key={it.id}>
            <span className={classes('nowrap', it.state === 'failed' && 'bad-t', it.state === 'skipped' && 'warn-t', it.state === 'succeeded' && 'ok-t')}>{en.schedules.runState[it.state]}</span>
            <span className="grow t-13 muted">{it.reason?.message ?? (it.origin === 'customer' ? en.schedules.byHand : '')}</span>
            <span className="t-13 faint nowrap">
              <Ago at={it.planned_for} />
            </span>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
