/** Every page's address. A page's code is loaded when it is wanted; the list of servers comes with the first load. */
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, notFound, redirect, type ErrorComponentProps } from '@tanstack/react-router'
import type { QueryClient } from '@tanstack/react-query'
import { Problem } from './api/problem'
import { instance, instances, me, queries } from './api/queries'
import type { Choices } from './pages/retry'
import { Servers } from './pages/Servers'
import { Broken, NotHere } from './shell/Faults'
import { Root } from './shell/Root'
import { Shell } from './shell/Shell'

/** Where somebody wanted to go before signing in. Only pages of ours. */
export const next = (search: Record<string, unknown>) =>
  typeof search['next'] === 'string' && /^\/(?![/\\])/.test(search['next']) ? { next: search['next'] } : {}

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Root,
  notFoundComponent: NotHere,
  errorComponent: Broken,
})

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: next,
  component: lazyRouteComponent(() => import('./pages/SignIn'), 'SignIn'),
})

const register = createRoute({
  getParentRoute: () => root,
  path: '/register',
  validateSearch: next,
  component: lazyRouteComponent(() => import('./pages/SignIn'), 'Register'),
})

/** Where links lead that were mailed. */
const reset = createRoute({
  getParentRoute: () => root,
  path: '/reset',
  component: lazyRouteComponent(() => import('./pages/Links'), 'Reset'),
})
const verify = createRoute({
  getParentRoute: () => root,
  path: '/verify',
  component: lazyRouteComponent(() => import('./pages/Links'), 'Verify'),
})

/** Everything for which one has to be signed in. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    try {
      return { viewer: await context.queries.ensureQueryData(me) }
    } catch (error) {
      if (Problem.of(error).status !== 401) throw error
      throw redirect({ to: '/login', search: location.href === '/' ? {} : { next: location.href } })
    }
  },
})

const home = createRoute({
  getParentRoute: () => inside,
  path: '/',
  // A workspace sends whoever may not enter it here, with its hostname.
  validateSearch: (search: Record<string, unknown>): { ide?: string } => (typeof search['ide'] === 'string' ? { ide: search['ide'] } : {}),
  component: Servers,
  loader: ({ context }) => void context.queries.prefetchQuery(instances),
})

const create = createRoute({
  getParentRoute: () => inside,
  path: '/new',
  validateSearch: (search: Record<string, unknown>): Choices =>
    Object.fromEntries(
      ['name', 'blueprint', 'variant', 'version', 'plan'].flatMap(key => (typeof search[key] === 'string' ? [[key, search[key]]] : [])),
    ),
  component: lazyRouteComponent(() => import('./pages/Create'), 'Create'),
})

const server = createRoute({
  getParentRoute: () => inside,
  path: '/servers/$id',
  component: lazyRouteComponent(() => import('./pages/server/Server'), 'Server'),
  loader: async ({ context, params }) => {
    try {
      await context.queries.ensureQueryData(instance(params.id))
    } catch (error) {
      if ([400, 404, 422].includes(Problem.of(error).status)) throw notFound()
      throw error
    }
  },
  notFoundComponent: NotHere,
})

const tab = <Path extends string>(path: Path, component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => server, path, component })

const overview = tab('/', lazyRouteComponent(() => import('./pages/server/Overview'), 'Overview'))
const consoleTab = tab('/console', lazyRouteComponent(() => import('./pages/server/ConsoleTab'), 'ConsoleTab'))
const files = createRoute({
  getParentRoute: () => server,
  path: '/files',
  validateSearch: (search: Record<string, unknown>): { path?: string; file?: string } => ({
    ...(typeof search['path'] === 'string' && { path: search['path'] }),
    ...(typeof search['file'] === 'string' && { file: search['file'] }),
  }),
  component: lazyRouteComponent(() => import('./pages/server/Files'), 'Files'),
})
const backups = tab('/backups', lazyRouteComponent(() => import('./pages/server/Backups'), 'Backups'))
const schedules = tab('/schedules', lazyRouteComponent(() => import('./pages/server/Schedules'), 'Schedules'))
const notes = tab('/notes', lazyRouteComponent(() => import('./pages/server/Notes'), 'Notes'))
const settings = tab('/settings', lazyRouteComponent(() => import('./pages/server/Settings'), 'Settings'))

const billing = createRoute({
  getParentRoute: () => inside,
  path: '/billing',
  // Who comes back from paying comes with what Stripe calls the purchase, or with `cancelled`.
  validateSearch: (search: Record<string, unknown>): { checkout?: string } => (typeof search['checkout'] === 'string' ? { checkout: search['checkout'] } : {}),
  component: lazyRouteComponent(() => import('./pages/billing/Billing'), 'Billing'),
})

const account = createRoute({
  getParentRoute: () => inside,
  path: '/account',
  component: lazyRouteComponent(() => import('./pages/Account'), 'Account'),
})

const operator = createRoute({
  getParentRoute: () => inside,
  path: '/op',
  component: lazyRouteComponent(() => import('./pages/operator/Operator'), 'Operator'),
})
const STATES = ['running', 'queued', 'undoing', 'failed', 'succeeded', 'all']
const isState = (it: unknown): it is string => typeof it === 'string' && STATES.includes(it)
const operations = createRoute({
  getParentRoute: () => operator,
  path: '/',
  validateSearch: (search: Record<string, unknown>): { state?: string } => (isState(search['state']) ? { state: search['state'] } : {}),
  component: lazyRouteComponent(() => import('./pages/operator/Operations'), 'Operations'),
})
const operation = createRoute({
  getParentRoute: () => operator,
  path: '/operations/$id',
  component: lazyRouteComponent(() => import('./pages/operator/Operation'), 'OperationPage'),
})
const searched = (search: Record<string, unknown>): { query?: string } => (typeof search['query'] === 'string' ? { query: search['query'] } : {})
const everybodysInstances = createRoute({
  getParentRoute: () => operator,
  path: '/instances',
  validateSearch: searched,
  component: lazyRouteComponent(() => import('./pages/operator/Instances'), 'Instances'),
})
const customers = createRoute({
  getParentRoute: () => operator,
  path: '/customers',
  validateSearch: searched,
  component: lazyRouteComponent(() => import('./pages/operator/Customers'), 'Customers'),
})
const enforcement = createRoute({
  getParentRoute: () => operator,
  path: '/enforcement',
  component: lazyRouteComponent(() => import('./pages/operator/Enforcement'), 'Enforcement'),
})
const enforcementOf = createRoute({
  getParentRoute: () => operator,
  path: '/enforcement/$id',
  component: lazyRouteComponent(() => import('./pages/operator/EnforcementOf'), 'EnforcementOf'),
})
const findings = createRoute({
  getParentRoute: () => operator,
  path: '/findings',
  component: lazyRouteComponent(() => import('./pages/operator/Findings'), 'Findings'),
})
const isNotificationState = (it: unknown): it is 'failed' | 'sent' | 'all' => it === 'failed' || it === 'sent' || it === 'all'
const notifications = createRoute({
  getParentRoute: () => operator,
  path: '/notifications',
  validateSearch: (search: Record<string, unknown>): { state?: 'failed' | 'sent' | 'all' } => (isNotificationState(search['state']) ? { state: search['state'] } : {}),
  component: lazyRouteComponent(() => import('./pages/operator/Notifications'), 'Notifications'),
})
const nodes = createRoute({
  getParentRoute: () => operator,
  path: '/nodes',
  component: lazyRouteComponent(() => import('./pages/operator/Nodes'), 'Nodes'),
})

const tree = root.addChildren([
  login,
  register,
  reset,
  verify,
  inside.addChildren([
    home,
    create,
    server.addChildren([overview, consoleTab, files, backups, schedules, notes, settings]),
    billing,
    account,
    operator.addChildren([operations, operation, findings, everybodysInstances, customers, enforcement, enforcementOf, notifications, nodes]),
  ]),
])

export const router = createRouter({
  routeTree: tree,
  context: { queries },
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 0,
  defaultErrorComponent: (props: ErrorComponentProps) => <Broken {...props} />,
  scrollRestoration: true,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
