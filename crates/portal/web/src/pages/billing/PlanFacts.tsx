/** What a plan costs and has. */
import type { Plan } from '../../api/client'
import { price } from '../../model/format'
import { en } from '../../text/en'

export function PlanFacts({ plan }: { plan: Plan }) {
  return (
    <>
      <span>
        <span className="price">{price(plan.price_minor, plan.currency)}</span> <span className="t-12">{en.create.month}</span>
      </span>
      <span className="stack t t-13 muted">
        <span>{en.create.memory(plan.resources.memory_mib)}</span>
        <span>{en.create.cores(plan.resources.cpu_percent)}</span>
        <span>{en.create.disk(plan.resources.disk_mib)}</span>
        <span>{en.create.backups(plan.backup_limit)}</span>
      </span>
    </>
  )
}
