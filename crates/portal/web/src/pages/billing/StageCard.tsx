/** What is open, since when, what follows when, and one button that ends it. */
import { Check, CirclePause, CircleAlert, Pause, Play, ShieldCheck, TriangleAlert, type LucideIcon } from 'lucide-react'
import type { Billing } from '../../api/client'
import { canChoose, isExtended, moments, type Moment } from '../../model/billing'
import { dateOf, exact, money } from '../../model/format'
import { bill } from '../../text/en-billing'
import { Button, classes, Icon } from '../../ui/parts'
import type { Pay } from './pay'
import { PLANS } from './Plans'

const marks: Record<Moment['stage'], LucideIcon> = {
  payment_failed: CircleAlert,
  final_warning: TriangleAlert,
  suspended: Pause,
  paid: Play,
  good_standing: Check,
  restored: Check,
}

export function StageCard({ of, pay }: { of: Billing; pay: Pay }) {
  return (
    <section className="card stage" aria-label={bill.stage(of.stage, of.cause)} data-stage={of.stage}>
      <div className="pad5 stack m">
        <div className="row top wrap">
          <div className="grow stack t">
            <StagePill stage={of.stage} cause={of.cause} />
            <h2 className="big">{titleOf(of)}</h2>
            <p className="muted">{told(of).join(' ')}</p>
          </div>
          <WayOut of={of} pay={pay} />
        </div>
        <Timeline of={of} />
      </div>
      <footer className="t-13 muted">
        <span className="row">
          <Icon of={ShieldCheck} />
          {bill.never}
        </span>
        <details>
          <summary>{bill.rules}</summary>
          <ul className="rules">
            {bill.rulesText.map(text => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </details>
      </footer>
    </section>
  )
}

export function StagePill({ stage, cause }: Pick<Billing, 'stage' | 'cause'>) {
  const tone = { good_standing: 'ok', restored: 'ok', payment_failed: 'warn', final_warning: 'warn', suspended: 'bad' }[stage]
  return (
    <span className={classes('pill', tone)}>
      <Icon of={stage === 'suspended' ? CirclePause : marks[stage]} />
      {bill.stage(stage, cause)}
    </span>
  )
}

function titleOf({ owed, cause, since, now }: Billing): string {
  const day = since ? dateOf(since, now) : ''
  return owed ? bill.owed(money(owed.amount_minor, owed.currency), day) : bill.matter(cause, day)
}

/** The bank's words, when it is tried again, and what else there is to say. */
function told(of: Billing): string[] {
  const { owed, cause, now, extended_until } = of
  return [
    owed?.failure && bill.bankSays(owed.failure),
    owed && (owed.next_attempt_at ? bill.triedAgain(owed.next_attempt_at, now) : bill.notTried),
    bill.advice(cause),
    isExtended(of) && extended_until && bill.extended(extended_until, now),
  ].filter(text => typeof text === 'string')
}

function WayOut({ of, pay }: { of: Billing; pay: Pay }) {
  const { owed, cause, sells } = of
  const portal = (label: string, primary: boolean) => (
    <Button size="l" {...(primary && { kind: 'primary' as const })} working={pay.working === 'manage' && bill.opening} onClick={() => void pay.manage()}>
      {label}
    </Button>
  )
  if (owed?.pay_url) {
    return (
      <div className="row">
        {sells && portal(bill.otherCard, false)}
        <a href={owed.pay_url} className="button primary l">
          {bill.payNow(money(owed.amount_minor, owed.currency))}
        </a>
      </div>
    )
  }
  if (cause === 'subscription_ended' && canChoose(of)) {
    return (
      <div className="row">
        <a href={`#${PLANS}`} className="button primary l">
          {bill.choosePlan}
        </a>
      </div>
    )
  }
  return sells ? <div className="row">{portal(bill.manage, true)}</div> : null
}

function Timeline({ of }: { of: Billing }) {
  const all = moments(of)
  if (all.length === 0) return null
  return (
    <ol className="stages" aria-label={bill.timeline}>
      {all.map(it => (
        <li key={it.stage} className={it.is} aria-current={it.is === 'now' ? 'step' : undefined}>
          <span className="node">
            <Icon of={it.is === 'done' ? Check : marks[it.stage]} size="s" />
          </span>
          <span className="stack t">
            <span className="strong">{bill.moment(it.stage, of.cause)}</span>
            <span className="t-13 muted">{bill.momentText(it.stage)}</span>
            <span className="t-12 faint num" title={it.at ? exact(it.at) : undefined}>
              {bill.momentAt(it, of.now)}
            </span>
          </span>
        </li>
      ))}
    </ol>
  )
}
