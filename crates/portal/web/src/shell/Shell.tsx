/** Around every page of somebody who is signed in: navigation, search, and how live the data is. */
import { useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { Link, Outlet, useRouterState } from '@tanstack/react-router'
import { Activity, Banknote, ChevronsUpDown, CreditCard, Eye, HardDrive, LogOut, Mail, MonitorCog, ScanSearch, Search, Server, User, Users, type LucideIcon } from 'lucide-react'
import { lazy, Suspense, useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { api } from '../api/client'
import { follow, live, poll } from '../api/live'
import { instances, me, stuck } from '../api/queries'
import { endViewing, viewing } from '../api/viewing'
import { en } from '../text/en'
import { Menu, type Item } from '../ui/Menu'
import { Button, classes, Icon } from '../ui/parts'
import { BillingBanner } from './BillingBanner'
import { useKeys } from './keys'
import { cycleTheme, theme } from './theme'

const Keys = lazy(async () => ({ default: (await import('./Keys')).Keys }))
const palette = async () => ({ default: (await import('./Palette')).Palette })
const Palette = lazy(palette)

/** After the first page is there, what a key opens is loaded too: who types on at once loses no letter. */
const IDLE_AFTER_MS = 2_000

type Entry = { here?: boolean; to: '/' | '/billing' | '/account' | '/op' | '/op/enforcement' | '/op/instances' | '/op/customers' | '/op/findings' | '/op/notifications' | '/op/nodes'; label: string; icon: LucideIcon; count?: number | undefined; bad?: boolean; exact?: boolean }

function useEntries(operator: boolean, path: string): Entry[] {
  const servers = useQuery(instances)
  const stuckOnes = useQuery({ ...stuck, enabled: operator })
  if (operator) {
    return [
      { to: '/op', label: en.nav.operations, icon: Activity, count: stuckOnes.data?.length, bad: true, exact: true, here: path.startsWith('/op/operations') },
      { to: '/op/findings', label: en.nav.findings, icon: ScanSearch },
      { to: '/op/instances', label: en.nav.instances, icon: Server },
      { to: '/op/customers', label: en.nav.customers, icon: Users },
      { to: '/op/enforcement', label: en.nav.payments, icon: Banknote },
      { to: '/op/notifications', label: en.nav.notifications, icon: Mail },
      { to: '/op/nodes', label: en.nav.nodes, icon: HardDrive },
    ]
  }
  return [
    { to: '/', label: en.nav.servers, icon: Server, count: servers.data?.length, exact: true, here: /^\/(servers|new)/.test(path) },
    { to: '/billing', label: en.nav.billing, icon: CreditCard },
    { to: '/account', label: en.nav.account, icon: User },
  ]
}

export function Shell() {
  const queries = useQueryClient()
  const { data: viewer } = useSuspenseQuery(me)
  const path = useRouterState({ select: state => state.location.pathname })
  const onOperatorSide = path.startsWith('/op')
  const entries = useEntries(onOperatorSide, path)
  const [searching, search] = useState(false)
  const [helping, help] = useState(false)
  const whom = viewing()
  const keys = useMemo(() => ({ search: () => search(true), help: () => help(true) }), [])

  useEffect(() => {
    const gone = new AbortController()
    // What tabs tell one another is of one account: whoever looks at another one asks by themselves.
    if (viewing()) poll(queries, gone.signal)
    else follow(queries, gone.signal)
    return () => gone.abort()
  }, [queries])

  useEffect(() => {
    const timer = setTimeout(() => void palette().catch(() => undefined), IDLE_AFTER_MS)
    return () => clearTimeout(timer)
  }, [])

  useKeys(keys)

  const signOut = async () => {
    await api.POST('/api/auth/logout')
    location.assign('/login')
  }
  const menu: Item[] = [
    ...(viewer.role === 'operator'
      ? [
          onOperatorSide
            ? { label: en.nav.customerSide, icon: Server, run: () => location.assign('/') }
            : { label: en.nav.operatorSide, icon: Activity, run: () => location.assign('/op') },
        ]
      : []),
    { label: en.nav.theme[theme()], icon: MonitorCog, run: cycleTheme },
    { label: en.nav.signOut, icon: LogOut, run: () => void signOut() },
  ]
  const initials = viewer.display_name
    .split(/\s+/)
    .slice(0, 2)
    .map(word => [...word][0]?.toUpperCase())
    .join('')
  return (
    <div className={classes('shell', whom && 'viewing')}>
      <a className="skip" href="#page">
        {en.skip}
      </a>
      <aside className="side">
        <Brand operator={onOperatorSide} />
        <button type="button" className="find" onClick={() => search(true)}>
          <Icon of={Search} />
          <span className="grow row">{en.palette.search}</span>
          <span className="kbd">{en.palette.keys}</span>
        </button>
        <nav className="side-nav" aria-label={en.nav.main}>
          {entries.map(entry => (
            <Entry key={entry.label} {...entry} />
          ))}
        </nav>
        <div className="viewer">
          <span className={classes('avatar', onOperatorSide && 'ops')}>{initials}</span>
          <div className="grow stack t">
            <span className="strong truncate">{viewer.display_name}</span>
            <span className="t-12 faint truncate">{viewer.email}</span>
          </div>
          <div className="up">
            <Menu label={viewer.display_name} icon={ChevronsUpDown} items={menu} button={{ kind: 'ghost', size: 's' }} />
          </div>
        </div>
      </aside>
      <div className="page">
        <div className="topbar">
          <Brand operator={onOperatorSide} />
          <span className="end row">
            <Button kind="ghost" icon={Search} aria-label={en.palette.search} onClick={() => search(true)} />
            <Menu label={viewer.display_name} icon={User} items={menu} button={{ kind: 'ghost' }} />
          </span>
        </div>
        {whom && (
          <div className="banner info" role="status">
            <Icon of={Eye} />
            <span className="grow">{en.viewing.strip(whom.name)}</span>
            <Button size="s" onClick={endViewing}>
              {en.viewing.leave}
            </Button>
          </div>
        )}
        {!onOperatorSide && <BillingBanner />}
        <LivenessBanner />
        <div id="page" tabIndex={-1}>
          <Outlet />
        </div>
      </div>
      <nav className="bottom-bar" aria-label={en.nav.main}>
        {entries.map(entry => (
          <Entry key={entry.label} {...entry} />
        ))}
      </nav>
      {searching && (
        <Suspense>
          <Palette operator={viewer.role === 'operator'} onClose={() => search(false)} />
        </Suspense>
      )}
      {helping && (
        <Suspense>
          <Keys onClose={() => help(false)} />
        </Suspense>
      )}
    </div>
  )
}

function Entry({ to, label, icon, count, bad, exact, here }: Entry) {
  return (
    <Link to={to} activeOptions={{ exact: exact ?? false }} activeProps={{ 'aria-current': 'page' }} {...(here && { 'aria-current': 'true' })}>
      <Icon of={icon} />
      {label}
      {count !== undefined && count > 0 && <span className={classes('count', bad && 'bad')}>{count}</span>}
    </Link>
  )
}

function Brand({ operator }: { operator: boolean }) {
  return (
    <Link to="/" className="brand">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <rect className="m1" width="24" height="24" rx="6.5" />
        <path className="m2" d="M6.5 6.5h11v2.6l-6.9 6h6.9v2.4h-11v-2.6l6.9-6H6.5z" />
      </svg>
      {en.brand}
      {operator && <span className="tag">{en.operatorTag}</span>}
    </Link>
  )
}

/** Nothing while all is live; else what is shown instead of the present. */
function LivenessBanner() {
  const liveness = useSyncExternalStore(live.subscribe, live.get)
  const online = useSyncExternalStore(onlineChanges, () => navigator.onLine)
  if (online && liveness !== 'polling') return null
  const text = online ? en.live.polling(live.since()) : en.live.offline(live.since())
  return (
    <div className="banner warn" role="status">
      <span className="spin" />
      {text}
    </div>
  )
}

function onlineChanges(listener: () => void) {
  addEventListener('online', listener)
  addEventListener('offline', listener)
  return () => {
    removeEventListener('online', listener)
    removeEventListener('offline', listener)
  }
}
