import { queryOptions } from '@tanstack/react-query'
import { api, unwrap, type Schedule, type ScheduleRun } from './client'

export const schedules = (id: string) =>
  queryOptions({
    queryKey: ['schedules', id],
    queryFn: async () => (await unwrap(api.GET('/api/instances/{id}/schedules', { params: { path: { id } } }))).items as Schedule[],
    refetchInterval: 60_000,
  })

/** When these times come next. */
export const timetable = (cron: string, time_zone: string) =>
  queryOptions({
    queryKey: ['timetable', cron, time_zone],
    queryFn: () => unwrap(api.GET('/api/schedules/timetable', { params: { query: { cron, time_zone } } })),
    retry: false,
  })

/** What became of a schedule's times, newest first. */
export const runsOf = (id: string, schedule: string) =>
  queryOptions({
    queryKey: ['schedules', id, schedule, 'runs'],
    queryFn: async () =>
      (await unwrap(api.GET('/api/instances/{id}/schedules/{schedule}/runs', { params: { path: { id, schedule }, query: { limit: 50 } } }))).items as ScheduleRun[],
    refetchInterval: 10_000,
  })
