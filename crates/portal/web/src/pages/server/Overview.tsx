/** The console beside load and what has happened; before there is a console, what is being done. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Archive, CircleCheck, History, Plus, Trash2, type LucideIcon } from 'lucide-react'
import { useSyncExternalStore } from 'react'
import { operation as operationQuery, operationsOf } from '../../api/queries'
import type { Instance, Operation } from '../../api/client'
import { Console } from '../../console/Console'
import { useConsole } from '../../console/useConsole'
import type { Stats } from '../../console/machine'
import { useServerState } from '../../model/known'
import { stepsOf } from '../../model/state'
import { bytes, percent } from '../../model/format'
import { en } from '../../text/en'
import { OperationProgress } from '../../ui/Progress'
import { Ago, Icon, ProblemNote } from '../../ui/parts'
import { retryHref } from '../retry'
import { useInstance } from './context'

export function Overview() {
  const instance = useInstance()
  if (instance.lifecycle !== 'active') return <Journal instance={instance} />
  return <Running instance={instance} />
}

function Running({ instance }: { instance: Instance }) {
  const driver = useConsole(instance.id, instance.holds.length === 0)
  const { stats, history } = useSyncExternalStore(driver.subscribe, driver.get)
  return (
    <div className="over">
      <Console driver={driver} name={instance.hostname} />
      <Load instance={instance} stats={stats} history={history} />
      <Activity instance={instance} />
    </div>
  )
}

const WIDTH = 300
const HEIGHT = 60

function Load({ instance, stats, history }: { instance: Instance; stats: Stats | null; history: readonly Stats[] }) {
  const { cpu_percent, memory_mib, disk_mib } = instance.resources
  const memory = memory_mib * 1024 * 1024
  const disk = stats?.disk_limit_bytes ?? disk_mib * 1024 * 1024
  const graphs = [
    { label: en.server.cpu, tone: 'c1', value: stats?.cpu_percent == null ? null : percent(stats.cpu_percent), of: en.server.ofCores(cpu_percent), shares: history.map(it => (it.cpu_percent ?? 0) / cpu_percent) },
    { label: en.server.memory, tone: 'c2', value: stats && bytes(stats.memory_bytes), of: en.common.of('', bytes(memory)), shares: history.map(it => it.memory_bytes / memory) },
    { label: en.server.disk, tone: 'c3', value: stats && bytes(stats.disk_bytes), of: en.common.of('', bytes(disk)), shares: history.map(it => it.disk_bytes / disk) },
  ]
  return (
    <section className="card graphs" aria-label={en.server.load}>
      <header>
        <h2>{en.server.load}</h2>
      </header>
      {graphs.map(({ label, tone, value, of, shares }) => (
        <div key={label} className={`graph ${tone}`}>
          <span className="t-13 muted">{label}</span>
          <span>
            <span className="v">{value ?? '–'}</span> <span className="t-13 faint">{of}</span>
          </span>
          <Plot shares={shares} />
        </div>
      ))}
    </section>
  )
}

/** What was used in the last minutes, each between nothing and all of it. */
function Plot({ shares }: { shares: number[] }) {
  const last = shares.slice(-150)
  const x = (at: number) => (last.length < 2 ? WIDTH : (at / (last.length - 1)) * WIDTH)
  const y = (share: number) => HEIGHT - Math.min(1, Math.max(0, share)) * HEIGHT
  const line = last.map((share, at) => `${at === 0 ? 'M' : 'L'}${x(at).toFixed(1)} ${y(share).toFixed(1)}`).join('')
  return (
    <svg className="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <line className="gr" x1="0" y1="0" x2={WIDTH} y2="0" />
      <line className="gr" x1="0" y1={HEIGHT / 2} x2={WIDTH} y2={HEIGHT / 2} />
      <line className="gr" x1="0" y1={HEIGHT} x2={WIDTH} y2={HEIGHT} />
      {last.length > 1 && (
        <>
          <path className="ar" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />
          <path className="ln" d={line} />
        </>
      )}
    </svg>
  )
}

const signs: Record<Operation['kind'], LucideIcon> = { create: Plus, delete: Trash2, backup: Archive, restore: History, verify: CircleCheck }

function Activity({ instance }: { instance: Instance }) {
  const list = useQuery(operationsOf(instance.id))
  return (
    <section className="card" aria-label={en.server.activity}>
      <header>
        <h2>{en.server.activity}</h2>
      </header>
      {list.isError && <ProblemNote error={list.error} onRetry={() => void list.refetch()} />}
      <ul className="feed">
        {list.data?.slice(0, 8).map(it => {
          const did = en.server.did[it.kind]
          const failed = it.state === 'failed' || it.state === 'stuck'
          return (
            <li key={it.id}>
              <span className={failed ? 'bad-t' : undefined}>
                <Icon of={signs[it.kind]} />
              </span>
              <span className="grow stack t">
                <span>{it.finished_at === null ? did.running : failed ? did.failed : did.succeeded}</span>
                {failed && <span className="t-13 muted">{it.failure?.message}</span>}
              </span>
              <span className="t-13 faint nowrap">
                <Ago at={it.finished_at ?? it.created_at} />
              </span>
            </li>
          )
        })}
      </ul>
      {list.data?.length === 0 && <p className="pad muted">{en.server.noActivity}</p>}
    </section>
  )
}

/** Where the console will be: what is done to make the server, or why it was not made. */
function Journal({ instance }: { instance: Instance }) {
  const { operation } = useServerState(instance)
  const detail = useQuery({ ...operationQuery(operation?.id ?? ''), enabled: operation !== undefined })
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
