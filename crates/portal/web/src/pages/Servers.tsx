/** All servers, each in its place from the moment it is asked for. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { Clock, Folder, Play, Plus, Server as ServerIcon, SquareTerminal } from 'lucide-react'
import { useEffect, useState, useSyncExternalStore } from 'react'
import { live } from '../api/live'
import { blueprints, instances, me, operation as operationQuery, operations } from '../api/queries'
import type { Blueprint, Instance, Operation } from '../api/client'
import { useDelete, usePower, workspaceUrl } from '../model/actions'
import { newestOf, softwareOf, useStale } from '../model/known'
import { isUnpaid, useBlocked } from '../model/payment'
import { busyWith, isActive, needsAttention, stateOf, type State } from '../model/state'
import { useTitle } from '../shell/title'
import { en } from '../text/en'
import { Confirm } from '../ui/Dialog'
import { GameTile } from '../ui/GameTile'
import { DiskMeter, Meters } from '../ui/Meters'
import { OperationProgress } from '../ui/Progress'
import { Unpaid } from '../ui/Unpaid'
import { Ago, Button, CopyButton, Empty, Icon, ProblemNote, Skeleton, StatePill } from '../ui/parts'
import { toastProblem } from '../ui/toast'
import { NewServer } from './NewServer'
import { retryHref } from './retry'

const filters = {
  all: () => true,
  running: (state: State) => state.key === 'running' || state.key === 'starting',
  attention: needsAttention,
}
type Filter = keyof typeof filters

export function Servers() {
  useTitle(en.servers.title)
  const list = useQuery(instances)
  const work = useQuery(operations)
  const games = useQuery(blueprints)
  const viewer = useQuery(me)
  const stale = useStale()
  const liveness = useSyncExternalStore(live.subscribe, live.get)
  const unpaid = useBlocked('new_instances')
  const [filter, setFilter] = useState<Filter>('all')
  useEntry(list.data)
  if (!list.data) return <main className="main">{list.isError ? <ProblemNote error={list.error} onRetry={() => void list.refetch()} /> : <Waiting />}</main>

  const servers = list.data.map(instance => {
    const operation = newestOf(work.data, instance.id)
    return { instance, operation, state: stateOf({ instance, operation, stale }) }
  })
  const counted = (by: Filter) => servers.filter(({ state }) => filters[by](state)).length
  const shown = servers.filter(({ state }) => filters[filter](state))
  const players = servers.reduce((sum, { instance, state }) => sum + (state.key === 'running' ? (instance.load?.players?.online_count ?? 0) : 0), 0)
  const limit = viewer.data?.instance_limit ?? 0
  const left = Math.max(0, limit - servers.filter(({ instance }) => instance.lifecycle !== 'failed').length)
  return (
    <main className="main">
      <div className="head">
        <div className="grow">
          <h1>{en.servers.title}</h1>
          <p className="sub">{servers.length === 0 ? en.servers.left(left, limit) : en.servers.summary(counted('running'), servers.length, players)}</p>
        </div>
        {servers.length > 0 && <NewServer />}
      </div>
      <Unpaid gate="new_instances" />
      {servers.length === 0 ? (
        <Empty icon={ServerIcon} title={en.servers.none} text={en.servers.noneText}>
          <NewServer size="l" />
        </Empty>
      ) : (
        <>
          <div className="row wrap">
            <div className="segments" role="group" aria-label={en.servers.filter.label}>
              {(Object.keys(filters) as Filter[]).map(by => (
                <button key={by} type="button" aria-pressed={filter === by} onClick={() => setFilter(by)}>
                  {en.servers.filter[by]} <i className="faint num">{counted(by)}</i>
                </button>
              ))}
            </div>
            {liveness !== 'polling' && (
              <span className="end row t-13 faint wide-only">
                <span className={liveness === 'live' ? 'dot ok' : 'dot'} />
                {en.live[liveness]}
              </span>
            )}
          </div>
          <div className="cards">
            {shown.map(server => (
              <ServerCard key={server.instance.id} {...server} known={games.data} />
            ))}
            {shown.length === 0 && <p className="muted">{en.servers.noneMatch}</p>}
            {filter === 'all' && left > 0 && !unpaid && (
              <Link to="/new" className="card server-card dashed">
                <span className="stack pad5">
                  <Icon of={Plus} size="l" />
                  <span className="strong">{en.servers.newServer}</span>
                  <span className="t-13 muted">{en.servers.left(left, limit)}</span>
                </span>
              </Link>
            )}
          </div>
        </>
      )}
    </main>
  )
}

/** Goes on into a workspace whose address somebody opened before signing in. */
function useEntry(servers: Instance[] | undefined): void {
  const { ide } = useSearch({ strict: false }) as { ide?: string }
  const navigate = useNavigate()
  const id = servers?.find(it => it.hostname === ide)?.id
  const known = servers !== undefined
  useEffect(() => {
    if (ide === undefined || !known) return
    const stay = (error?: unknown) => {
      if (error) toastProblem(error)
      void navigate({ to: '/', search: {}, replace: true })
    }
    if (id) workspaceUrl(id).then(url => location.replace(url), stay)
    else stay()
  }, [id, ide, known, navigate])
}

type CardProps = { instance: Instance; operation: Operation | undefined; state: State; known: Blueprint[] | undefined }

function ServerCard({ instance, operation, state, known }: CardProps) {
  const busy = busyWith(operation)
  return (
    <article className="card server-card" aria-label={instance.name}>
      <div className="top">
        <GameTile blueprint={instance.blueprint} kind={instance.kind} />
        <div className="grow stack t">
          <h3 className="truncate">
            <Link to="/servers/$id" params={{ id: instance.id }}>
              <bdi>{instance.name}</bdi>
            </Link>
          </h3>
          <span className="meta truncate">{softwareOf(instance, known)}</span>
        </div>
        <StatePill state={state} />
      </div>
      <div className="mid">
        <Middle instance={instance} operation={operation} state={state} />
        {busy && operation && state.key !== 'creating' && <OperationProgress operation={operation} />}
      </div>
      <Foot instance={instance} operation={operation} state={state} />
    </article>
  )
}

function Middle({ instance, operation, state }: Omit<CardProps, 'known'>) {
  switch (state.key) {
    case 'queued':
    case 'creating':
    case 'deleting':
      return (
        <>
          {operation && (operation.kind === 'delete') === (state.key === 'deleting') && <OperationProgress operation={operation} />}
          {state.key === 'queued' && operation && <QueuePlace operation={operation} />}
          {state.key === 'queued' && <span className="t-13 muted">{en.servers.canClose}</span>}
        </>
      )
    case 'failed':
      return (
        <>
          {operation && <OperationProgress operation={{ ...operation, step_detail: null }} />}
          <p className="t-13">
            <span className="strong">{operation?.failure?.message}</span> <span className="muted">{en.servers.nothingCounts}</span>
          </p>
        </>
      )
    case 'stuck':
      return <p className="t-13 muted">{en.state.stuckText}</p>
    case 'held':
      return (
        <>
          {instance.holds.map(hold => (
            <p key={hold.placed_at} className="t-13">
              <span className="strong">{hold.reason.message}</span> <span className="muted">{en.state.heldSince(hold.placed_at)}</span>
            </p>
          ))}
        </>
      )
    case 'crashed':
      return <p className="t-13 muted">{instance.stopped?.reason.message ?? en.state.crashedText(1)}</p>
    case 'stopped':
      return (
        <>
          <p className="row t-13 muted">
            <Icon of={Clock} />
            {instance.stopped ? en.state.stoppedBy(instance.stopped) : en.state.stoppedText}
          </p>
          {instance.load && <DiskMeter instance={instance} load={instance.load} />}
        </>
      )
    case 'starting':
      return <p className="t-13 muted">{en.state.startingText}</p>
    case 'silent':
      return (
        <p className="t-13 muted">
          {en.state.silentText} {instance.last_heard_at && <Ago at={instance.last_heard_at} say={en.state.heardOf} />}
        </p>
      )
    case 'running':
      return instance.load && <Meters instance={instance} load={instance.load} />
    default:
      return null
  }
}

/** How many wait before it. Asked again every few seconds: the work of others is no event of ours. */
function QueuePlace({ operation }: { operation: Operation }) {
  const { data } = useQuery({ ...operationQuery(operation.id), refetchInterval: 5_000 })
  if (!data?.queue_position) return null
  return <span className="t-13 muted num">{en.state.queuePlace(data.queue_position)}</span>
}

function Foot({ instance, operation, state }: Omit<CardProps, 'known'>) {
  const remove = useDelete()
  const [asking, ask] = useState(false)
  const to = { params: { id: instance.id } }
  if (state.key === 'failed') {
    return (
      <div className="bot">
        <Link to="/servers/$id" {...to} className="button ghost s">
          {en.server.why}
        </Link>
        <span className="grow" />
        <Button size="s" onClick={() => ask(true)}>
          {en.server.remove}
        </Button>
        <Link to="/new" search={retryHref(instance)} className="button primary s">
          {en.server.tryAgain}
        </Link>
        {asking && (
          <Confirm title={en.settings.deleteAsk(instance.name)} text={en.servers.nothingCounts} verb={en.server.remove} onConfirm={() => remove(instance)} onClose={() => ask(false)} />
        )}
      </div>
    )
  }
  if (state.key === 'queued' || state.key === 'creating' || state.key === 'deleting') {
    return (
      <div className="bot">
        <span className="grow t-13 faint num">{operation && <Ago at={operation.created_at} say={en.servers.askedFor} />}</span>
      </div>
    )
  }
  return (
    <div className="bot">
      <div className="grow row">{instance.address && instance.kind === 'game' && <CopyButton text={instance.address} />}</div>
      {state.key === 'held' && isUnpaid(instance) && (
        <Link to="/billing" className="button primary s">
          {en.payment.toPay}
        </Link>
      )}
      {state.key === 'held' || state.key === 'stopped' ? (
        <Link to="/servers/$id/files" {...to} className="button s">
          <Icon of={Folder} />
          {en.servers.files}
        </Link>
      ) : (
        <Link to="/servers/$id/console" {...to} className="button s">
          <Icon of={SquareTerminal} />
          {en.servers.console}
        </Link>
      )}
      {(state.key === 'stopped' || state.key === 'crashed') && !isActive(operation) && <StartButton instance={instance} />}
    </div>
  )
}

function StartButton({ instance }: { instance: Instance }) {
  const power = usePower(instance.id)
  const unpaid = useBlocked('power')
  useEffect(() => {
    if (power.error) toastProblem(power.error)
  }, [power.error])
  return (
    <Button kind="primary" size="s" icon={Play} disabled={unpaid} title={unpaid ? en.payment.blocked.power : undefined} working={power.isPending && en.power.starting} onClick={() => power.mutate('start')}>
      {en.power.start}
    </Button>
  )
}

/** What is certain already, and the room of what comes. */
function Waiting() {
  return (
    <>
      <div className="head">
        <h1 className="grow">{en.servers.title}</h1>
      </div>
      <Placeholders />
    </>
  )
}

function Placeholders() {
  return (
    <Skeleton>
      <div className="cards">
        {[1, 2, 3].map(n => (
          <div key={n} className="card server-card">
            <div className="top">
              <i className="sq" />
              <div className="grow stack">
                <i className="w6" />
                <i className="w4" />
              </div>
            </div>
            <div className="mid">
              <i className="w10" />
              <i className="w8" />
            </div>
          </div>
        ))}
      </div>
    </Skeleton>
  )
}
