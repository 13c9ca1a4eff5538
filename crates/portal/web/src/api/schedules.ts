import { queryOptions } from '@tanstack/react-query'
import { api, unwrap, type Schedule } from './client'

export const schedules = (id: string) =>
  queryOptions({
    queryKey: ['schedules', id],
    queryFn: async () => (await unwrap(api.GET('/api/instances/{id}/schedules', { params: { path: { id } } }))).items as Schedule[],
    refetchInterval: 60_000,
  })
