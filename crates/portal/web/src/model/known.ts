/** What is known of servers, together: rows, operations, and how live they are. */
import { useQuery } from '@tanstack/react-query'
import { useSyncExternalStore } from 'react'
import type { Blueprint, Instance, Operation } from '../api/client'
import { live } from '../api/live'
import { Problem } from '../api/problem'
import { blueprints, operations, operationsOf, status } from '../api/queries'
import { stateOf, type State } from './state'

/** What is installed, in words: `Minecraft · Paper 1.21.8`. */
export function softwareOf(instance: Instance, known: Blueprint[] | undefined): string {
  const blueprint = known?.find(it => it.id === instance.blueprint)
  const variant = blueprint?.variants.find(it => it.id === instance.variant)
  if (!blueprint || !variant) return `${instance.blueprint} ${instance.version}`
  const edition = variant.name === blueprint.name ? instance.version : `${variant.name} ${instance.version}`
  return `${blueprint.name} · ${edition}`
}

export function useSoftware(instance: Instance): string {
  const { data } = useQuery(blueprints)
  return softwareOf(instance, data)
}

export function useStale(): boolean {
  const liveness = useSyncExternalStore(live.subscribe, live.get)
  const { fetchStatus, errorUpdateCount, isError } = useQuery(operations)
  return liveness === 'polling' && (isError || (fetchStatus === 'paused' && errorUpdateCount > 0))
}

/** The newest operation of each server. */
export const newestOf = (list: Operation[] | undefined, id: string) => list?.find(it => it.instance_id === id)

/** One server's state, with what its agent says. */
export function useServerState(instance: Instance): { state: State; operation: Operation | undefined; lastWords: string | null } {
  const list = useQuery(operationsOf(instance.id))
  const now = useQuery({ ...status(instance.id), enabled: instance.lifecycle === 'active' && instance.holds.length === 0 })
  const stale = useStale()
  const operation = list.data?.[0]
  const silent = now.isError && Problem.of(now.error).code === 'agent_unreachable'
  const state = stateOf({ instance, operation, status: silent ? null : now.data, stale })
  return { state, operation, lastWords: now.data?.error?.message ?? null }
}
