/** What is told outside: what waits, what has failed and why, and whether mail works. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Check, Mail, RotateCw, Send, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import { api, unwrap, type Channel, type Notification } from '../../api/client'
import { channels, notifications } from '../../api/queries'
import { useTitle } from '../../shell/title'
import { told } from '../../text/en-notifications'
import { ListTable } from '../../ui/ListTable'
import { Ago, Button, classes, Empty, Icon, ProblemNote } from '../../ui/parts'
import { toast, toastProblem } from '../../ui/toast'

const STATES = ['waiting', 'failed', 'sent', 'all'] as const
type Shown = (typeof STATES)[number]

export function Notifications() {
  useTitle(told.title)
  const { state = 'waiting' } = useSearch({ strict: false }) as { state?: Shown }
  const navigate = useNavigate()
  const standing = useQuery(channels)
  const list = useQuery(notifications(state))
  return (
    <>
      <div className="row wrap top">
        <div className="grow">
          <h1>{told.title}</h1>
          <p className="sub muted">{told.sub}</p>
        </div>
        <TestMail />
      </div>
      {standing.isError && <ProblemNote error={standing.error} onRetry={() => void standing.refetch()} />}
      {standing.data?.map(it => <Standing key={it.channel} channel={it} />)}
      <div className="segments scrolls" role="group" aria-label={told.filter}>
        {STATES.map(it => (
          <button key={it} type="button" aria-pressed={it === state} onClick={() => void navigate({ to: '/op/notifications', search: it === 'waiting' ? {} : { state: it } })}>
            {told.states[it]}
          </button>
        ))}
      </div>
      <ListTable
        list={list}
        empty={<Empty icon={state === 'failed' || state === 'waiting' ? Check : Mail} title={told.none[state]} text={told.noneText} />}
        headings={[told.what, told.to, told.became, told.when]}
        acts
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <span className="strong">{told.name(it)}</span>
                <span className="t-13 muted">{told.channel(it.channel)}</span>
              </div>
            </td>
            <td className="t-13">{it.recipient ? <bdi>{it.recipient}</bdi> : '–'}</td>
            <td>
              <Became of={it} />
            </td>
            <td className="t-13 muted nowrap">
              <Ago at={it.sent_at ?? it.created_at} />
            </td>
            <td className="acts">{it.state !== 'sent' && <Retry of={it} />}</td>
          </tr>
        )}
      </ListTable>
    </>
  )
}

const TONES: Record<Notification['state'], string> = { waiting: 'info', failed: 'bad', sent: 'ok' }

function Became({ of: it }: { of: Notification }) {
  return (
    <div className="stack t">
      <div className="row wrap">
        <span className={classes('pill', TONES[it.state])}>{told.state[it.state]}</span>
        {it.failure && <span className={classes('pill', it.failure === 'blocked' ? 'warn' : undefined)}>{told.failure(it.failure)}</span>}
        {it.code !== null && <span className="t-13 muted">{told.code(it.code)}</span>}
      </div>
      {it.state !== 'sent' && it.last_error && <span className="t-13">{it.last_error}</span>}
      {it.attempt_count > 0 && (
        <span className="t-13 muted">
          {told.attempts(it.attempt_count)}
          {it.next_try_at && `. ${told.nextTry(it.next_try_at)}`}
        </span>
      )}
    </div>
  )
}

/** Where a channel sends, and what keeps it from sending. */
function Standing({ channel: it }: { channel: Channel }) {
  const trouble = it.stalled ? told.stalled(it) : it.blocked_by ? told.blocked(it) : !it.route && it.waiting_count > 0 ? told.unconfigured(it) : null
  if (!trouble) return <p className="sub">{told.route(it)}</p>
  return (
    <div className={classes('note', it.stalled ? 'bad' : 'warn')} role={it.stalled ? 'alert' : undefined}>
      <Icon of={TriangleAlert} />
      <p className="t">{trouble}</p>
    </div>
  )
}

function TestMail() {
  const queries = useQueryClient()
  const [working, work] = useState(false)
  const send = async () => {
    work(true)
    try {
      const { recipient } = await unwrap(api.POST('/api/operator/mail/test'))
      toast({ text: told.tested(recipient) })
      void queries.invalidateQueries({ queryKey: ['operator', 'notifications'] })
    } catch (error) {
      toastProblem(error)
    }
    work(false)
  }
  return (
    <Button icon={Send} working={working} onClick={() => void send()}>
      {told.test}
    </Button>
  )
}

function Retry({ of: it }: { of: Notification }) {
  const queries = useQueryClient()
  const [working, work] = useState(false)
  const retry = async () => {
    work(true)
    try {
      await unwrap(api.POST('/api/operator/notifications/{id}/retry', { params: { path: { id: it.id } } }))
      toast({ text: told.retried })
    } catch (error) {
      toastProblem(error)
    }
    work(false)
    void queries.invalidateQueries({ queryKey: ['operator', 'notifications'] })
  }
  return (
    <Button size="s" icon={RotateCw} working={working} aria-label={told.retryOf(`${told.name(it)}, ${it.recipient ?? told.channel(it.channel)}`)} onClick={() => void retry()}>
      {told.retry}
    </Button>
  )
}
