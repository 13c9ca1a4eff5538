/** What people do to servers: asks the API and shows at once what it has answered. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, unwrap, type Instance, type PowerAction } from '../api/client'
import { instance as instanceQuery, instances, operationsOf, status } from '../api/queries'
import { en } from '../text/en'
import { toast } from '../ui/toast'

export function usePower(id: string) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (action: PowerAction) => unwrap(api.POST('/api/instances/{id}/power', { params: { path: { id } }, body: { action } })),
    onSuccess: ({ instance, status: now }, action) => {
      queries.setQueryData(instanceQuery(id).queryKey, instance)
      queries.setQueryData(instances.queryKey, list => list?.map(it => (it.id === id ? instance : it)))
      queries.setQueryData(status(id).queryKey, old => ({ load: null, players: null, ...old, ...now }))
      toast({ text: en.power.asked[action] })
    },
  })
}

/** Deletes a server; resolves once the deletion was asked for. */
export function useDelete() {
  const queries = useQueryClient()
  return async ({ id }: Instance) => {
    await unwrap(api.DELETE('/api/instances/{id}', { params: { path: { id } } }))
    await Promise.all([
      queries.invalidateQueries(instances),
      queries.invalidateQueries(instanceQuery(id)),
      queries.invalidateQueries(operationsOf(id)),
    ])
  }
}

/** A key under which the API does something once, however often it is asked. */
export const onceKey = () => crypto.randomUUID()

/** The address at which a workspace opens for its owner, once. */
export const workspaceUrl = async (id: string) => (await unwrap(api.POST('/api/instances/{id}/ide/tickets', { params: { path: { id } } }))).url
