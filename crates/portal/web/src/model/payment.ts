/** What an open payment blocks: known before anything is pressed. */
import { useQuery } from '@tanstack/react-query'
import { billing } from '../api/billing'
import type { Gate, Instance, Stage } from '../api/client'

/** Whether something is past due. */
export const isOpen = (stage: Stage): boolean => stage === 'payment_failed' || stage === 'final_warning' || stage === 'suspended'

/** Whether a server is on hold because of a payment. */
export const isUnpaid = ({ holds }: Instance): boolean => holds.some(hold => hold.reason.code === 'billing')

/** Whether this is blocked. While it is not known it is not: the API refuses what it has to. */
export function useBlocked(gate: Gate): boolean {
  const { data } = useQuery(billing)
  return data?.blocked.includes(gate) ?? false
}
