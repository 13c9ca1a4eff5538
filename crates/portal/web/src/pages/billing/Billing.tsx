/** What was bought, what is open, what works meanwhile, and the way to pay. */
import '../../style/billing.css'
import { useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { CircleCheck, Landmark, ShieldCheck, Store, TriangleAlert, type LucideIcon } from 'lucide-react'
import { billing } from '../../api/billing'
import type { Billing as Bill } from '../../api/client'
import { canChoose } from '../../model/billing'
import { money } from '../../model/format'
import { isOpen } from '../../model/payment'
import { useTitle } from '../../shell/title'
import { bill } from '../../text/en-billing'
import { classes, Icon, ProblemNote, Skeleton } from '../../ui/parts'
import { Invoices } from './Invoices'
import { usePay } from './pay'
import { Plans } from './Plans'
import { Purchase } from './Purchase'
import { StageCard } from './StageCard'
import { Subscription, Works } from './Subscription'

/** How often it is asked, on this page, whether what is open was paid. */
const LOOK_MS = 5_000

export function Billing() {
  useTitle(bill.title)
  const found = useQuery(billing)
  // An invoice's page at Stripe leads nowhere: whoever has paid there comes here by themselves, perhaps before we have heard of it,
  // and is not asked for the same money for a minute more.
  useQuery({ ...billing, refetchInterval: LOOK_MS, enabled: found.data !== undefined && isOpen(found.data.stage) })
  return (
    <main className="main">
      <div className="head">
        <div className="grow">
          <h1>{bill.title}</h1>
          <p className="sub">{bill.sub}</p>
        </div>
        {found.data?.test_mode && <span className="pill info">{bill.testMode}</span>}
      </div>
      {found.data ? (
        <Page of={found.data} />
      ) : found.isError ? (
        <ProblemNote error={found.error} onRetry={() => void found.refetch()} />
      ) : (
        <Skeleton>
          <div className="card pad5 stack m">
            <i className="w4" />
            <i className="w6" />
            <i className="w10" />
          </div>
        </Skeleton>
      )}
    </main>
  )
}

function Page({ of }: { of: Bill }) {
  const { checkout } = useSearch({ strict: false }) as { checkout?: string }
  const pay = usePay()
  // Whoever has perhaps paid a moment ago is not asked to buy again.
  const comesBack = checkout !== undefined && checkout !== 'cancelled'
  // To somebody who has bought nothing and got nothing there is nothing to show but what there is to buy.
  const hasAnything = of.subscription !== null || of.grants.length > 0 || of.invoices.length > 0 || of.used.length > 0
  return (
    <>
      <Purchase of={of} back={checkout} pay={pay} />
      {pay.problem && <ProblemNote error={pay.problem} />}
      {isOpen(of.stage) && <StageCard of={of} pay={pay} />}
      <Standing of={of} />
      {hasAnything && (
        <div className="half">
          <Subscription of={of} pay={pay} />
          <Works of={of} />
        </div>
      )}
      {canChoose(of) && !comesBack && <Plans pay={pay} text={hasAnything ? bill.plansText : bill.firstPlanText} />}
      {hasAnything && <Invoices of={of} />}
    </>
  )
}

/** What is to be known besides the stage. */
function Standing({ of }: { of: Bill }) {
  return (
    <>
      {of.stage === 'restored' && <Note tone="ok" icon={CircleCheck} title={bill.restored} text={bill.restoredText} />}
      {of.exempt && <Note tone="info" icon={ShieldCheck} title={bill.exempt} text={bill.exemptText} />}
      {of.disputed && <Note tone="info" icon={Landmark} title={bill.disputed} text={bill.disputedText} />}
      {of.other_subscriptions.map((it, at) => (
        <Note key={at} tone="warn" icon={TriangleAlert} title={bill.second(money(it.month_minor, it.currency))} text={bill.secondText} />
      ))}
      {!of.sells && <Note icon={Store} title={bill.nothingSold} text={bill.nothingSoldText} />}
    </>
  )
}

function Note({ tone, icon, title, text }: { tone?: 'ok' | 'info' | 'warn'; icon: LucideIcon; title: string; text: string }) {
  return (
    <div className={classes('note', tone)}>
      <Icon of={icon} />
      <div className="grow stack t">
        <p className="t">{title}</p>
        <p>{text}</p>
      </div>
    </div>
  )
}
