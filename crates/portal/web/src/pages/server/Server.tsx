/** A server's head and tabs: what it is, how it is, and what can be done with it. */
import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate } from '@tanstack/react-router'
import { Archive, CalendarClock, ChevronDown, ExternalLink, Folder, LayoutDashboard, NotebookPen, Play, RotateCw, Settings as Cog, Square, SquareTerminal, TriangleAlert, type LucideIcon } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { Instance } from '../../api/client'
import { Problem } from '../../api/problem'
import { instance as instanceQuery, plans } from '../../api/queries'
import { usePower, workspaceUrl } from '../../model/actions'
import { useServerState, useSoftware } from '../../model/known'
import { isUnpaid, useBlocked } from '../../model/payment'
import { busyWith, isActive, type State } from '../../model/state'
import { NotHere } from '../../shell/Faults'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { Confirm } from '../../ui/Dialog'
import { GameTile } from '../../ui/GameTile'
import { Menu } from '../../ui/Menu'
import { Button, CopyButton, Icon, StatePill } from '../../ui/parts'
import { toastProblem } from '../../ui/toast'
import { Unpaid } from '../../ui/Unpaid'
import { useInstance } from './context'

type TabPath = '/servers/$id' | `/servers/$id/${'console' | 'files' | 'backups' | 'schedules' | 'notes' | 'settings'}`

const tabs: { to: TabPath; label: keyof typeof en.server.tabs; icon: LucideIcon }[] = [
  { to: '/servers/$id', label: 'overview', icon: LayoutDashboard },
  { to: '/servers/$id/console', label: 'console', icon: SquareTerminal },
  { to: '/servers/$id/files', label: 'files', icon: Folder },
  { to: '/servers/$id/backups', label: 'backups', icon: Archive },
  { to: '/servers/$id/schedules', label: 'schedules', icon: CalendarClock },
  { to: '/servers/$id/notes', label: 'notes', icon: NotebookPen },
  { to: '/servers/$id/settings', label: 'settings', icon: Cog },
]

export function Server() {
  const instance = useInstance()
  const { error } = useQuery(instanceQuery(instance.id))
  useTitle(instance.name)
  // Deleted meanwhile, by another window or by us.
  if (instance.lifecycle === 'deleted' || (error && Problem.of(error).status === 404)) return <NotHere />
  return (
    <main className="main">
      <Head instance={instance} />
      <nav className="tabs" aria-label={instance.name} ref={showCurrent}>
        {tabs.map(({ to, label, icon }) => (
          <Link key={label} to={to} params={{ id: instance.id }} activeOptions={{ exact: label === 'overview', includeSearch: false }} activeProps={{ 'aria-current': 'page' }}>
            <Icon of={icon} />
            {en.server.tabs[label]}
          </Link>
        ))}
      </nav>
      <Holds instance={instance} />
      {!isUnpaid(instance) && <Unpaid gate="power" />}
      <Outlet />
    </main>
  )
}

/** On a phone not all tabs fit: the one that one is on is brought into view. */
function showCurrent(nav: HTMLElement | null): void {
  nav?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })
}

function Head({ instance }: { instance: Instance }) {
  const { state, operation } = useServerState(instance)
  const offers = useQuery(plans)
  const software = useSoftware(instance)
  const plan = offers.data?.find(it => it.id === instance.plan)
  const busy = busyWith(operation)
  return (
    <div className="server-head">
      <GameTile blueprint={instance.blueprint} kind={instance.kind} large />
      <div className="grow">
        <div className="row wrap">
          <h1 className="truncate">
            <bdi>{instance.name}</bdi>
          </h1>
          <StatePill state={state} />
          {busy && (
            <span className="pill info">
              <span className="spin" />
              {busy}
            </span>
          )}
        </div>
        <div className="facts">
          <span>{software}</span>
          {instance.address && instance.kind === 'game' && <CopyButton text={instance.address} />}
          {plan && <span>{en.server.plan(plan.name)}</span>}
        </div>
      </div>
      {instance.lifecycle === 'active' && <Power instance={instance} state={state} blocked={isActive(operation) && operation.kind !== 'verify'} />}
    </div>
  )
}

function Power({ instance, state, blocked }: { instance: Instance; state: State; blocked: boolean }) {
  const power = usePower(instance.id)
  const [killing, kill] = useState(false)
  const up = ['running', 'starting', 'silent'].includes(state.key)
  const working = power.isPending ? power.variables : null
  const unpaid = useBlocked('power')
  const held = instance.holds.length > 0 || unpaid
  useEffect(() => {
    if (power.error) toastProblem(power.error)
  }, [power.error])
  return (
    <div className="row">
      {instance.kind === 'dev' && state.key === 'running' && <OpenWorkspace instance={instance} />}
      {up ? (
        <>
          <Button icon={RotateCw} disabled={blocked || held} working={working === 'restart' && en.power.restarting} onClick={() => power.mutate('restart')}>
            {en.power.restart}
          </Button>
          <div className="button-group">
            <Button icon={Square} disabled={blocked || held} working={working === 'stop' && en.power.stopping} onClick={() => power.mutate('stop')}>
              {en.power.stop}
            </Button>
            {!unpaid && <Menu label={en.power.more} icon={ChevronDown} items={[{ label: en.power.kill, danger: true, run: () => kill(true) }]} />}
          </div>
        </>
      ) : state.key === 'stopping' ? (
        <Button disabled={unpaid} onClick={() => kill(true)}>
          {en.power.kill}
        </Button>
      ) : (
        <Button kind="primary" icon={Play} disabled={blocked || held} working={working === 'start' && en.power.starting} onClick={() => power.mutate('start')}>
          {en.power.start}
        </Button>
      )}
      {killing && (
        <Confirm title={en.power.killAsk} text={en.power.killText} verb={en.power.kill} onConfirm={() => power.mutateAsync('kill')} onClose={() => kill(false)} />
      )}
    </div>
  )
}

/** Opens in a tab of its own, which is opened by the press itself: a browser blocks one that comes later. */
function OpenWorkspace({ instance }: { instance: Instance }) {
  const [working, work] = useState(false)
  const unpaid = useBlocked('ide')
  const open = async () => {
    const tab = window.open('', '_blank')
    work(true)
    try {
      const url = await workspaceUrl(instance.id)
      if (tab) tab.location.replace(url)
      else location.assign(url)
    } catch (error) {
      tab?.close()
      toastProblem(error)
    }
    work(false)
  }
  return (
    <Button kind="primary" icon={ExternalLink} disabled={unpaid} title={unpaid ? en.payment.blocked.ide : undefined} working={working && en.server.opening} onClick={() => void open()}>
      {en.server.openWorkspace}
    </Button>
  )
}

function Holds({ instance }: { instance: Instance }) {
  return (
    <>
      {instance.holds.map(hold => (
        <div key={hold.placed_at} className="note warn">
          <Icon of={TriangleAlert} />
          <div className="grow stack t">
            <p className="t">{hold.reason.message}</p>
            <p>{en.state.heldSince(hold.placed_at)}</p>
          </div>
          {hold.reason.code === 'billing' && (
            <Link to="/billing" className="button s">
              {en.payment.toPay}
            </Link>
          )}
        </div>
      ))}
    </>
  )
}

/** The way back to the list once a server is gone. */
export function useLeave() {
  const navigate = useNavigate()
  return () => void navigate({ to: '/' })
}

