/** The server whose page one is on. */
import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import type { Instance } from '../../api/client'
import { instance as query } from '../../api/queries'

export function useInstance(): Instance {
  const { id } = useParams({ strict: false }) as { id: string }
  const { data } = useQuery(query(id))
  // The route's loader has asked for it.
  if (!data) throw new Error('the page of a server without one')
  return data
}
