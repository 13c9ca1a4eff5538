/** What was bought, what is open and what follows from it: one question for all of the page. */
import { queryOptions } from '@tanstack/react-query'
import { api, unwrap, type Enforcement } from './client'
import { whenUnpaid } from './problem'
import { all, queries, query } from './queries'

/** Nothing that concerns payments comes as an event, so it is asked again: more often while something is open. */
const WHILE_OPEN_MS = 60_000
const OTHERWISE_MS = 300_000

export const billing = queryOptions({
  queryKey: ['billing'],
  queryFn: () => unwrap(api.GET('/api/billing')),
  refetchInterval: ({ state }) => (!state.data || state.data.stage === 'good_standing' ? OTHERWISE_MS : WHILE_OPEN_MS),
  // Who comes back has perhaps paid in another window.
  refetchOnWindowFocus: 'always',
})

whenUnpaid(() => void queries.invalidateQueries(billing))

/** Customers of whose payments there is something to see. */
export const enforcement = queryOptions({
  queryKey: ['operator', 'enforcement'],
  queryFn: () => all<Enforcement>(cursor => unwrap(api.GET('/api/operator/billing', { params: { query: query(cursor) } }))),
  refetchInterval: 30_000,
})

export const enforcementOf = (id: string) =>
  queryOptions({
    queryKey: ['operator', 'enforcement', id],
    queryFn: () => unwrap(api.GET('/api/operator/billing/{id}', { params: { path: { id } } })),
    refetchInterval: 15_000,
  })
