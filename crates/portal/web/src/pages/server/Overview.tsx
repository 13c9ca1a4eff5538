/** The console beside load and what has happened; before there is a console, what is being done. */
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useState, useSyncExternalStore } from 'react'
import { activity, load, operation as operationQuery } from '../../api/queries'
import type { Instance, Players } from '../../api/client'
import { Console } from '../../console/Console'
import { useConsole } from '../../console/useConsole'
import type { Stats } from '../../console/machine'
import { useServerState } from '../../model/known'
import { useBlocked } from '../../model/payment'
import { stepsOf } from '../../model/state'
import { lines } from '../../model/activity'
import { bytes, count, percent } from '../../model/format'
import { en } from '../../text/en'
import { OperationProgress } from '../../ui/Progress'
import { Ago, Button, classes, Icon, ProblemNote } from '../../ui/parts'
import { retryHref } from '../retry'
import { useInstance } from './context'

const Graph = lazy(() => import('../../ui/Graph'))

export function Overview() {
  const instance = useInstance()
  if (instance.lifecycle !== 'active') return <Journal instance={instance} />
  return <Running instance={instance} />
}

function Running({ instance }: { instance: Instance }) {
  const unpaid = useBlocked('console')
  const driver = useConsole(instance.id, instance.holds.length === 0 && !unpaid)
  const { stats } = useSyncExternalStore(driver.subscribe, driver.get)
  return (
    <div className="over">
      <Console driver={driver} instance={instance.id} name={instance.hostname} />
      <LoadGraphs instance={instance} stats={stats} />
      <ActivityFeed instance={instance} />
      {stats?.players && <PlayerList players={stats.players} />}
    </div>
  )
}

const spans = { minutes: 10 * 60_000, hour: 60 * 60_000 }
type Span = keyof typeof spans

function LoadGraphs({ instance, stats }: { instance: Instance; stats: Stats | null }) {
  const [span, show] = useState<Span>('minutes')
  const history = useQuery(load(instance.id))
  const { cpu_percent, memory_mib, disk_mib } = instance.resources
  const memory = memory_mib * 1024 * 1024
  const disk = stats?.disk_limit_bytes ?? disk_mib * 1024 * 1024
  const until = history.dataUpdatedAt
  const from = until - spans[span]
  const samples = (history.data ?? []).map(it => ({ ...it, at: new Date(it.at).getTime() })).filter(it => it.at >= from)
  const graphs = [
    { label: en.server.cpu, tone: 'c1', now: stats?.cpu_percent ?? null, most: cpu_percent, words: percent, of: en.server.ofCores(cpu_percent), points: samples.map(({ at, cpu_percent: value }) => ({ at, value })) },
    { label: en.server.memory, tone: 'c2', now: stats?.memory_bytes ?? null, most: memory, words: bytes, of: en.common.of('', bytes(memory)), points: samples.map(({ at, memory_bytes: value }) => ({ at, value })) },
    { label: en.server.disk, tone: 'c3', now: stats?.disk_bytes ?? null, most: disk, words: bytes, of: en.common.of('', bytes(disk)), points: samples.map(({ at, disk_bytes: value }) => ({ at, value })) },
  ]
  return (
    <section className="card graphs" aria-label={en.server.load}>
      <header>
        <h2>{en.server.load}</h2>
        <div className="segments end" role="group" aria-label={en.server.span.label}>
          {(Object.keys(spans) as Span[]).map(one => (
            <button key={one} type="button" aria-pressed={one === span} onClick={() => show(one)}>
              {en.server.span[one]}
            </button>
          ))}
        </div>
      </header>
      {history.isError && <ProblemNote error={history.error} onRetry={() => void history.refetch()} />}
      {graphs.map(({ label, tone, now, most, words, of, points }) => (
        <div key={label} className={`graph ${tone}`}>
          <span className="t-13 muted">{label}</span>
          <span>
            <span className="v">{now === null ? '–' : words(now)}</span> <span className="t-13 faint">{of}</span>
          </span>
          <Suspense fallback={<div className="plot" />}>
            <Graph points={points} most={most} from={from} until={until} words={words} label={label} />
          </Suspense>
        </div>
      ))}
    </section>
  )
}

function PlayerList({ players }: { players: Players }) {
  const others = players.online_count - players.names.length
  return (
    <section className="card" aria-label={en.server.players}>
      <header>
        <h2>{en.server.players}</h2>
        <span className="end t-13 muted num">{en.common.of(count(players.online_count), count(players.max_count))}</span>
      </header>
      {players.online_count === 0 ? (
        <p className="pad muted">{en.server.noPlayers}</p>
      ) : (
        <ul className="players">
          {players.names.map((name, at) => (
            <li key={name}>
              <span className={classes('avatar sm', at % 2 === 1 && 'ops')} aria-hidden="true">
                {[...name][0]?.toUpperCase()}
              </span>
              <bdi className="truncate">{name}</bdi>
            </li>
          ))}
          {others > 0 && <li className="muted">{en.server.otherPlayers(others)}</li>}
        </ul>
      )}
    </section>
  )
}

function ActivityFeed({ instance }: { instance: Instance }) {
  const pages = useInfiniteQuery(activity(instance.id))
  const told = lines(pages.data?.pages.flatMap(page => page.items) ?? [])
  return (
    <section className="card" aria-label={en.server.activity}>
      <header>
        <h2>{en.server.activity}</h2>
      </header>
      {pages.isError && <ProblemNote error={pages.error} onRetry={() => void pages.refetch()} />}
      <ul className="feed">
        {told.map(line => (
          <li key={line.id}>
            <span className={line.failed ? 'bad-t' : undefined}>
              <Icon of={line.icon} />
            </span>
            <span className="grow stack t">
              <bdi>{line.text}</bdi>
              <bdi className="t-12 faint">{line.by}</bdi>
            </span>
            <span className="t-13 faint nowrap">
              <Ago at={line.at} />
            </span>
          </li>
        ))}
      </ul>
      {pages.hasNextPage && (
        <div className="pad">
          <Button size="s" working={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
            {en.activity.more}
          </Button>
        </div>
      )}
    </section>
  )
}

/** Where the console will be: what is done to make the server, or why it was not made. */
function Journal({ instance }: { instance: Instance }) {
  const { operation } = useServerState(instance)
  const detail = useQuery({ ...operationQuery(operation?.id ?? ''), enabled: operation !== undefined, refetchInterval: operation?.state === 'queued' ? 5_000 : false })
  if (!operation) return null
  const done = new Map(detail.data?.steps.map(step => [step.name, step.state]))
  const words = [...new Map(stepsOf(operation.kind).map(step => [en.steps[step], step])).entries()]
  return (
    <section className="card" aria-label={en.server.journal}>
      <header>
        <h2>{en.server.journal}</h2>
        <span className="end t-13 faint">
          <Ago at={operation.created_at} say={en.servers.askedFor} />
        </span>
      </header>
      <div className="pad stack m">
        <OperationProgress operation={operation} />
        {detail.data?.queue_position && <p className="t-13 muted num">{en.state.queuePlace(detail.data.queue_position)}</p>}
        <ol className="journal-words">
          {words.map(([word, step]) => (
            <li key={word} data-step-state={done.get(step) ?? 'none'}>
              {word}
            </li>
          ))}
        </ol>
        {operation.state === 'stuck' && <p className="muted">{en.state.stuckText}</p>}
        {operation.failure && instance.lifecycle === 'failed' && (
          <div className="note bad">
            <div className="grow stack t">
              <p className="t">{operation.failure.message}</p>
              <p>{en.servers.nothingCounts}</p>
            </div>
            <Link to="/new" search={retryHref(instance)} className="button s">
              {en.server.tryAgain}
            </Link>
          </div>
        )}
        {operation.finished_at === null && <p className="t-13 faint">{en.servers.canClose}</p>}
      </div>
    </section>
  )
}
