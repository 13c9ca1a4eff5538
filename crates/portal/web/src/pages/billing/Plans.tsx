/** Plans with their prices, for somebody who has bought none. */
import { useQuery } from '@tanstack/react-query'
import { plans } from '../../api/queries'
import { en } from '../../text/en'
import { bill } from '../../text/en-billing'
import { Button, ProblemNote } from '../../ui/parts'
import type { Pay } from './pay'
import { PlanFacts } from './PlanFacts'

/** Where they are on the page. */
export const PLANS = 'plans'

export function Plans({ pay, text }: { pay: Pay; text: string }) {
  const offers = useQuery(plans)
  return (
    <section id={PLANS} className="stack m" aria-label={bill.plans}>
      <div>
        <h2>{bill.plans}</h2>
        <p className="t-13 muted">{text}</p>
      </div>
      {offers.isError && <ProblemNote error={offers.error} onRetry={() => void offers.refetch()} />}
      <div className="plans">
        {offers.data?.map(plan => (
          <div key={plan.id} className="plan sold">
            <h3>{plan.name}</h3>
            <PlanFacts plan={plan} />
            {!plan.available && <span className="t-12 warn-t">{en.create.noRoom}</span>}
            <Button
              disabled={!plan.available || pay.working !== null}
              working={pay.working === `buy ${plan.id}` && bill.opening}
              aria-label={bill.chooseOf(plan.name)}
              onClick={() => void pay.buy([{ plan: plan.id, quantity: 1 }])}
            >
              {bill.choose}
            </Button>
          </div>
        ))}
      </div>
    </section>
  )
}
