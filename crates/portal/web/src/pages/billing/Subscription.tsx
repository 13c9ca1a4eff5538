/** What is paid for, what is granted, and what can be done now. */
import { useQuery } from '@tanstack/react-query'
import { Ban, Check, Gift, Info } from 'lucide-react'
import type { Billing, Subscription as Bought } from '../../api/client'
import { plans } from '../../api/queries'
import { entitles, works } from '../../model/billing'
import { money } from '../../model/format'
import { bill } from '../../text/en-billing'
import { Button, Icon } from '../../ui/parts'
import type { Pay } from './pay'

/** Plans by what people call them. */
export function usePlanName(): (plan: string) => string {
  const { data } = useQuery(plans)
  return plan => data?.find(it => it.id === plan)?.name ?? plan
}

export function Subscription({ of, pay }: { of: Billing; pay: Pay }) {
  const name = usePlanName()
  const { subscription, grants, used, sells, now } = of
  const inUse = used.reduce((sum, it) => sum + it.quantity, 0)
  // Whoever has ever bought something has a page at Stripe.
  const known = sells && (subscription !== null || of.invoices.length > 0)
  return (
    <section className="card" aria-label={bill.subscription}>
      <header>
        <h2 className="grow">{bill.subscription}</h2>
        {known && (
          <Button size="s" working={pay.working === 'manage' && bill.opening} onClick={() => void pay.manage()}>
            {bill.manage}
          </Button>
        )}
      </header>
      <div className="pad stack m">
        {subscription ? (
          <Facts of={subscription} billing={of} inUse={inUse} />
        ) : (
          <p className="muted">{grants.length > 0 ? bill.grantedOnly : bill.noSubscription}</p>
        )}
        {subscription?.collection_paused && <Hint text={bill.paused} />}
        {of.blocked.includes('upgrades') && entitles(subscription) && <Hint text={bill.noUpgrades} />}
        {grants.length > 0 && (
          <div className="stack">
            <h3>{bill.granted}</h3>
            {grants.map(it => (
              <p key={it.id} className="row t-13">
                <Icon of={Gift} size="s" />
                {bill.grant(it.quantity, it.plan === null ? null : name(it.plan), it.expires_at, now)}
              </p>
            ))}
            {!subscription && <p className="t-13 muted">{bill.serversUsed(inUse)}</p>}
          </div>
        )}
      </div>
    </section>
  )
}

function Facts({ of, billing, inUse }: { of: Bought; billing: Billing; inUse: number }) {
  const name = usePlanName()
  const { now, grants } = billing
  const bought = entitles(of) ? of.items.reduce((sum, it) => sum + it.quantity, 0) : 0
  const had = grants.reduce((sum, it) => sum + it.quantity, bought)
  const over = of.ends_at !== null && new Date(of.ends_at) <= new Date(now)
  const isPaid = of.status === 'active' || of.status === 'trialing'
  return (
    <dl className="facts">
      <dt>{bill.plan}</dt>
      <dd>{bill.items(of.items, name)}</dd>
      <dt>{bill.servers}</dt>
      <dd className="num">{bill.serversOf(inUse, had)}</dd>
      <dt>{bill.eachMonth}</dt>
      <dd className="num strong">{money(of.month_minor, of.currency)}</dd>
      {of.ends_at ? (
        <>
          <dt>{over ? bill.ended : bill.ends}</dt>
          <dd>{bill.date(of.ends_at, now)}</dd>
        </>
      ) : (
        of.period_end && (
          <>
            <dt>{isPaid ? bill.paidUntil : bill.billedUntil}</dt>
            <dd>{bill.date(of.period_end, now)}</dd>
          </>
        )
      )}
      {of.paid_with && (
        <>
          <dt>{bill.paysWith}</dt>
          <dd>{of.paid_with}</dd>
        </>
      )}
    </dl>
  )
}

function Hint({ text }: { text: string }) {
  return (
    <p className="row top t-13 warn-t">
      <Icon of={Info} size="s" />
      <span>{text}</span>
    </p>
  )
}

export function Works({ of }: { of: Billing }) {
  return (
    <section className="card" aria-label={bill.worksNow}>
      <header>
        <h2>{bill.worksNow}</h2>
      </header>
      <ul className="works">
        {works(of.blocked).map(it => (
          <li key={it.line} className="row" data-works={it.works}>
            <span className={it.works ? 'row ok-t' : 'row warn-t'}>
              <Icon of={it.works ? Check : Ban} />
              <span className="visually-hidden">{it.works ? bill.works : bill.worksNot}</span>
            </span>
            {bill.line(it.line)}
          </li>
        ))}
      </ul>
    </section>
  )
}
