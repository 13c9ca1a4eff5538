import { QueryClient, QueryObserver } from '@tanstack/react-query'
import { expect, test, vi } from 'vitest'
import type { Instance } from './client'
import { apply } from './live'
import { instance } from './queries'

const server = (name: string, row_version = 1) => ({ id: 'a', name, row_version }) as Instance

test('an answer that was read before an event does not undo it', async () => {
  const queries = new QueryClient()
  const answers: ((it: Instance) => void)[] = []
  const queryFn = () => new Promise<Instance>(answer => answers.push(answer))
  const { queryKey } = instance('a')
  const stop = new QueryObserver(queries, { queryKey, queryFn }).subscribe(() => undefined)
  expect(answers).toHaveLength(1)

  apply(queries, { type: 'instance', data: server('now') })
  answers[0]?.(server('before'))
  await vi.waitFor(() => expect(answers).toHaveLength(2))
  expect(queries.getQueryData(queryKey)?.name).toBe('now')
  answers[1]?.(server('now'))
  await vi.waitFor(() => expect(queries.isFetching()).toBe(0))
  expect(queries.getQueryData(queryKey)?.name).toBe('now')
  stop()
})

test('an event that comes late does not undo a later row', () => {
  const queries = new QueryClient()
  queries.setQueryData(instance('a').queryKey, server('second', 2))
  apply(queries, { type: 'instance', data: server('first', 1) })
  expect(queries.getQueryData(instance('a').queryKey)?.name).toBe('second')
})
