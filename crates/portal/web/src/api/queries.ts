/** What is asked of the API, with the keys under which it is remembered. */
import { QueryClient, infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query'
import { api, unwrap, type Activity, type Backup, type Instance, type Notification, type Operation, type OperatorCustomer, type OperatorInstance, type OperatorOperation } from './client'
import { Problem } from './problem'
import { session } from './session'

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Kept up by events; asked again when the window comes back, in case they were missed.
      staleTime: 30_000,
      retry: (count, error) => count < 2 && [0, 429, 503].includes(Problem.of(error).status),
      retryDelay: (count, error) => (Problem.of(error).retryAfter ?? 2 ** count) * 1000,
    },
    mutations: { retry: false },
  },
})

type Page<T> = { items: T[]; next_cursor: string | null }

/** All of a list, page by page. */
export async function all<T>(page: (cursor: string | undefined) => Promise<Page<unknown>>): Promise<T[]> {
  const items: T[] = []
  let cursor: string | undefined
  do {
    const got = await page(cursor)
    items.push(...(got.items as T[]))
    cursor = got.next_cursor ?? undefined
  } while (cursor)
  return items
}

export const query = (cursor: string | undefined) => ({ limit: 100, ...(cursor && { cursor }) })

export const me = queryOptions({
  queryKey: ['me'],
  queryFn: async () => {
    const viewer = await unwrap(api.GET('/api/me'))
    session.began()
    return viewer
  },
  staleTime: Infinity,
  retry: false,
})

export const instances = queryOptions({
  queryKey: ['instances'],
  queryFn: () =>
    all<Instance>(cursor => unwrap(api.GET('/api/instances', { params: { query: query(cursor) } })) as Promise<Page<unknown>>),
  // Load changes all the time and is no event.
  refetchInterval: 20_000,
})

export const instance = (id: string) =>
  queryOptions({
    queryKey: ['instance', id],
    queryFn: () => unwrap(api.GET('/api/instances/{id}', { params: { path: { id } } })),
    initialData: () => queries.getQueryData(instances.queryKey)?.find(it => it.id === id),
    initialDataUpdatedAt: () => queries.getQueryState(instances.queryKey)?.dataUpdatedAt,
    refetchInterval: 20_000,
  })

export const status = (id: string) =>
  queryOptions({
    queryKey: ['status', id],
    queryFn: () => unwrap(api.GET('/api/instances/{id}/status', { params: { path: { id } } })),
    retry: false,
    refetchInterval: 15_000,
  })

/** The last hour, a sample about every 20 seconds. */
export const load = (id: string) =>
  queryOptions({
    queryKey: ['load', id],
    queryFn: () => unwrap(api.GET('/api/instances/{id}/load', { params: { path: { id } } })),
    refetchInterval: 20_000,
  })

/** What was done to a server, page by page. */
export const activity = (id: string) =>
  infiniteQueryOptions({
    queryKey: ['activity', id],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam: cursor }) =>
      (await unwrap(
        api.GET('/api/instances/{id}/activity', { params: { path: { id }, query: { limit: 20, ...(cursor && { cursor }) } } }),
      )) as { items: Activity[]; next_cursor: string | null },
    getNextPageParam: page => page.next_cursor,
  })

export const hostname = (wanted: string) =>
  queryOptions({
    queryKey: ['hostname', wanted],
    queryFn: () => unwrap(api.GET('/api/catalogue/hostnames', { params: { query: { hostname: wanted } } })),
    staleTime: 10_000,
    enabled: wanted !== '',
  })

export const operation = (id: string) =>
  queryOptions({
    queryKey: ['operation', id],
    queryFn: () => unwrap(api.GET('/api/operations/{id}', { params: { path: { id } } })),
  })

/** The latest operations of all servers, newest first: what a server does now, and why it did not work. */
export const operations = queryOptions({
  queryKey: ['operations'],
  queryFn: async () => (await unwrap(api.GET('/api/operations', { params: { query: { limit: 100 } } }))).items as Operation[],
})

export const operationsOf = (instance_id: string) =>
  queryOptions({
    queryKey: ['operations', instance_id],
    queryFn: async () =>
      (await unwrap(api.GET('/api/operations', { params: { query: { limit: 20, instance_id } } }))).items as Operation[],
  })

export const blueprints = queryOptions({
  queryKey: ['blueprints'],
  queryFn: () => unwrap(api.GET('/api/catalogue/blueprints')),
  staleTime: 300_000,
})

export const plans = queryOptions({
  queryKey: ['plans'],
  queryFn: () => unwrap(api.GET('/api/catalogue/plans')),
  // Whether there is room for one changes.
  staleTime: 30_000,
})

export const backups = (id: string) =>
  queryOptions({
    queryKey: ['backups', id],
    queryFn: () =>
      all<Backup>(
        cursor =>
          unwrap(api.GET('/api/instances/{id}/backups', { params: { path: { id }, query: query(cursor) } })) as Promise<Page<unknown>>,
      ),
  })

export const usage = (id: string) =>
  queryOptions({
    queryKey: ['usage', id],
    queryFn: () => unwrap(api.GET('/api/instances/{id}/files/usage', { params: { path: { id } } })),
    retry: false,
  })

export const folder = (id: string, path: string) =>
  queryOptions({
    queryKey: ['folder', id, path],
    queryFn: async () => {
      const found = []
      let cursor: string | undefined
      do {
        const page = await unwrap(
          api.GET('/api/instances/{id}/files', { params: { path: { id }, query: { path, limit: 1000, ...(cursor && { cursor }) } } }),
        )
        found.push(...page.items)
        cursor = page.next_cursor ?? undefined
      } while (cursor && found.length < 10_000)
      return { items: found, more: cursor !== undefined }
    },
  })

export const apiKeys = queryOptions({
  queryKey: ['api-keys'],
  queryFn: () => unwrap(api.GET('/api/api-keys')),
})

/** How the last change of a server's plan stands: asked often while one is under way. */
export const planChange = (id: string) =>
  queryOptions({
    queryKey: ['plan-change', id],
    queryFn: async () => (await unwrap(api.GET('/api/instances/{id}/plan', { params: { path: { id } } }))).change,
    refetchInterval: ({ state }) => (state.data && !['done', 'failed'].includes(state.data.state) ? 2_000 : false),
  })

export const nodes = queryOptions({
  queryKey: ['nodes'],
  queryFn: () => unwrap(api.GET('/api/operator/nodes')),
  refetchInterval: 15_000,
})

export const controller = queryOptions({
  queryKey: ['operator', 'controller'],
  queryFn: () => unwrap(api.GET('/api/operator/controller')),
  refetchInterval: 10_000,
})

export const findings = queryOptions({
  queryKey: ['operator', 'findings'],
  queryFn: () => unwrap(api.GET('/api/operator/findings')),
  refetchInterval: 10_000,
})

export const incidents = queryOptions({
  queryKey: ['operator', 'incidents'],
  queryFn: () => unwrap(api.GET('/api/operator/incidents')),
  refetchInterval: 10_000,
})

export const repairEvents = queryOptions({
  queryKey: ['operator', 'repairs'],
  queryFn: () => unwrap(api.GET('/api/operator/repairs')),
  refetchInterval: 10_000,
})

export const channels = queryOptions({
  queryKey: ['operator', 'notifications', 'channels'],
  queryFn: () => unwrap(api.GET('/api/operator/channels')),
  refetchInterval: 10_000,
})

export const notifications = (state: 'waiting' | 'failed' | 'sent' | 'all') =>
  queryOptions({
    queryKey: ['operator', 'notifications', state],
    queryFn: async () => (await unwrap(api.GET('/api/operator/notifications', { params: { query: { limit: 100, state } } }))).items as Notification[],
    refetchInterval: 5_000,
  })

const everybodys = async (state: Operation['state'] | undefined) =>
  (await unwrap(api.GET('/api/operator/operations', { params: { query: { limit: 100, ...(state && { state }) } } }))).items as OperatorOperation[]

export const stuck = queryOptions({ queryKey: ['operator', 'operations', 'stuck'], queryFn: () => everybodys('stuck'), refetchInterval: 15_000 })

export const allOperations = (state: Operation['state'] | undefined) =>
  queryOptions({ queryKey: ['operator', 'operations', state ?? 'all'], queryFn: () => everybodys(state), refetchInterval: 15_000 })

export const anyOperation = (id: string) =>
  queryOptions({
    queryKey: ['operator', 'operation', id],
    queryFn: () => unwrap(api.GET('/api/operator/operations/{id}', { params: { path: { id } } })),
    refetchInterval: 5_000,
  })

export const allInstances = (query: string) =>
  queryOptions({
    queryKey: ['operator', 'instances', query],
    queryFn: async () => (await unwrap(api.GET('/api/operator/instances', { params: { query: { limit: 100, query } } }))).items as OperatorInstance[],
    placeholderData: keepPreviousData,
    refetchInterval: 20_000,
  })

export const customers = (query: string) =>
  queryOptions({
    queryKey: ['operator', 'customers', query],
    queryFn: async () => (await unwrap(api.GET('/api/operator/customers', { params: { query: { limit: 100, query } } }))).items as OperatorCustomer[],
    placeholderData: keepPreviousData,
  })

export const sessions = queryOptions({
  queryKey: ['sessions'],
  queryFn: () => unwrap(api.GET('/api/sessions')),
})
