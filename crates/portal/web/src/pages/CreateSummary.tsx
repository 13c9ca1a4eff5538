/** What is going to be made, what it costs, and the one button: to make it, or to pay for it first. */
import { Link } from '@tanstack/react-router'
import { CircleCheck, Info, ShieldCheck } from 'lucide-react'
import type { Billing, Blueprint, Plan } from '../api/client'
import type { Problem } from '../api/problem'
import { entitles, hasRoom, type Way } from '../model/billing'
import { bytes, money, price } from '../model/format'
import { en } from '../text/en'
import { bill } from '../text/en-billing'
import { GameTile } from '../ui/GameTile'
import { Button, Icon, ProblemNote } from '../ui/parts'
import type { Pay } from './billing/pay'

type Props = {
  name: string
  blueprint: Blueprint | undefined
  software: string
  plan: Plan | undefined
  way: Way
  billing: Billing | undefined
  pay: Pay
  ready: boolean
  working: boolean
  problem: Problem | null
  onPay: () => void
}

export function CreateSummary({ name, blueprint, software, plan, way, billing, pay, ready, working, problem, onPay }: Props) {
  const adds = way === 'add' && (billing?.sells ?? false)
  return (
    <aside className="sticky stack m">
      <div className="card">
        <header>
          <h2>{en.create.summary}</h2>
        </header>
        <div className="pad stack m">
          {blueprint && (
            <div className="row">
              <GameTile blueprint={blueprint.id} kind={blueprint.kind} />
              <div className="grow stack t">
                <span className="strong truncate">
                  <bdi>{name || en.create.namePlaceholder}</bdi>
                </span>
                <span className="t-13 muted truncate">{software}</span>
              </div>
            </div>
          )}
          {plan && (
            <>
              <dl className="facts t-13">
                <dt>{en.create.plan}</dt>
                <dd>{plan.name}</dd>
                <dt>{en.server.memory}</dt>
                <dd>{bytes(plan.resources.memory_mib * 1024 * 1024)}</dd>
                <dt>{en.server.tabs.backups}</dt>
                <dd>{plan.backup_limit}</dd>
              </dl>
              <div className="row">
                <span className="muted">{en.create.eachMonth}</span>
                <span className="end strong num">{money(plan.price_minor, plan.currency)}</span>
              </div>
              {way === 'create' && billing && <p className="t-12 faint">{covered(billing, plan.id)}</p>}
              {way === 'pay' && <p className="t-12 faint">{bill.toPaymentText(plan.name)}</p>}
              {adds && <p className="t-12 faint">{bill.addText(plan.name, price(plan.price_minor, plan.currency))}</p>}
            </>
          )}
          {plan && way !== 'create' && way !== 'pay' && !adds && <NoWay way={way} plan={plan.name} />}
          {problem && problem.fields.size === 0 && <ProblemNote error={problem} />}
          {pay.problem && <ProblemNote error={pay.problem} />}
        </div>
        <footer>
          {way === 'pay' || adds ? (
            <Button kind="primary" size="l" full disabled={!plan} working={pay.working?.startsWith('buy') ? (adds ? bill.adding : bill.opening) : false} onClick={onPay}>
              {adds ? bill.add : bill.toPayment}
            </Button>
          ) : (
            <>
              <Button type="submit" kind="primary" size="l" full disabled={!ready || way !== 'create'} working={working && en.create.creating}>
                {en.create.create}
              </Button>
              {!name && way === 'create' && <p className="t-12 faint center">{en.create.chooseName}</p>}
            </>
          )}
        </footer>
      </div>
      <p className="row top t-12 faint">
        <Icon of={ShieldCheck} size="s" />
        {en.create.once}
      </p>
    </aside>
  )
}

/** By what it is covered: a grant first, since it costs nothing. */
function covered(billing: Billing, plan: string): string | null {
  const { subscription, now } = billing
  if (hasRoom({ ...billing, subscription: null }, plan)) return bill.coveredByGrant
  return entitles(subscription) && subscription.period_end ? bill.covered(subscription.period_end, now) : null
}

function NoWay({ way, plan }: { way: Exclude<Way, 'create' | 'pay'>; plan: string }) {
  return (
    <div className="stack" data-way={way}>
      <p className="row top t-13 warn-t">
        <Icon of={Info} size="s" />
        <span>{bill.way(way, plan)}</span>
      </p>
      <Link to="/billing" className="button s">
        {en.payment.toBilling}
      </Link>
    </div>
  )
}

/** Above the form, for somebody who comes back from paying. */
export function PaidNote() {
  return (
    <div className="note ok" role="status">
      <Icon of={CircleCheck} />
      <div className="grow stack t">
        <p className="t">{bill.paidCreate}</p>
        <p>{bill.paidCreateText}</p>
      </div>
    </div>
  )
}
