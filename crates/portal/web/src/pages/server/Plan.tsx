/** A server's plan, how a change of it stands, and the way to another one. */
import '../../style/billing.css'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { CircleX, Info } from 'lucide-react'
import { useState } from 'react'
import { billing } from '../../api/billing'
import { api, unwrap, type Instance, type Plan, type PlanChange } from '../../api/client'
import { blueprints, planChange, plans } from '../../api/queries'
import { hasRoom } from '../../model/billing'
import { useBlocked } from '../../model/payment'
import { money } from '../../model/format'
import { bill } from '../../text/en-billing'
import { FormDialog } from '../../ui/Dialog'
import { Button, classes, Icon } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { Unpaid, unpaidId } from '../../ui/Unpaid'
import { PlanFacts } from '../billing/PlanFacts'

export function PlanOf({ instance }: { instance: Instance }) {
  const offers = useQuery(plans)
  const change = useQuery(planChange(instance.id))
  const [choosing, choose] = useState(false)
  const unpaid = useBlocked('upgrades')
  const name = (plan: string) => offers.data?.find(it => it.id === plan)?.name ?? plan
  const underWay = change.data && !['done', 'failed'].includes(change.data.state)
  return (
    <>
      <span className="row wrap">
        {name(instance.plan)}
        {!underWay && (
          <Button
            size="s"
            disabled={instance.lifecycle !== 'active' || unpaid || !offers.data}
            {...(unpaid && { 'aria-describedby': unpaidId('upgrades') })}
            onClick={() => choose(true)}
          >
            {bill.changePlan}
          </Button>
        )}
      </span>
      <Unpaid gate="upgrades" />
      {change.data && <Stands of={change.data} name={name} />}
      {choosing && offers.data && <Choose instance={instance} offers={offers.data.filter(it => it.kind === instance.kind)} onClose={() => choose(false)} />}
    </>
  )
}

function Stands({ of, name }: { of: PlanChange; name: (plan: string) => string }) {
  if (of.state === 'done') return null
  if (of.state === 'failed') {
    return (
      <span className="row top t-13 warn-t" role="status">
        <Icon of={CircleX} size="s" />
        <span>
          {bill.planFailed(name(of.to_plan))}
          {of.failure && `. ${of.failure.message}`}
        </span>
      </span>
    )
  }
  return (
    <span className="row top t-13" role="status" data-plan-change={of.state}>
      <span className="spin" />
      <span className="stack">
        <span>{bill.changingPlan(of.state, name(of.to_plan))}</span>
        {of.pay_url && (
          <a href={of.pay_url} className="button primary s">
            {bill.confirmPayment}
          </a>
        )}
      </span>
    </span>
  )
}

/** Why a server cannot have a plan; `null` if it can. */
function obstacle(plan: Plan, instance: Instance, least: number): string | null {
  if (plan.id === instance.plan) return bill.changePlanNow
  if (plan.resources.memory_mib < least) return bill.planTooSmall
  if ((instance.load?.disk_bytes ?? 0) > plan.resources.disk_mib * 1024 * 1024) return bill.planDisk
  return null
}

function Choose({ instance, offers, onClose }: { instance: Instance; offers: Plan[]; onClose: () => void }) {
  const queries = useQueryClient()
  const bought = useQuery(billing)
  const games = useQuery(blueprints)
  const least = games.data?.find(it => it.id === instance.blueprint)?.min_memory_mib ?? 0
  const [chosen, choose] = useState<string | null>(null)
  const now = offers.find(it => it.id === instance.plan)
  const wanted = offers.find(it => it.id === chosen)
  const ask = async () => {
    if (!wanted) return
    try {
      const change = await unwrap(api.POST('/api/instances/{id}/plan', { params: { path: { id: instance.id } }, body: { plan: wanted.id } }))
      queries.setQueryData(planChange(instance.id).queryKey, change)
      if (change.pay_url) location.assign(change.pay_url)
      else toast({ text: bill.planChanging })
    } catch (error) {
      // One that was declined is over, and the page behind says so.
      void queries.invalidateQueries(planChange(instance.id))
      throw error
    } finally {
      void queries.invalidateQueries(billing)
    }
  }
  // As the API counts it: this server is not counted with its old plan.
  const covered = bought.data && wanted && hasRoom({ ...bought.data, used: less(bought.data.used, instance.plan) }, wanted.id)
  return (
    <FormDialog title={bill.changePlanOf(instance.name)} verb={bill.changePlan} ready={wanted !== undefined} onDone={ask} onClose={onClose}>
      <p className="muted">{bill.changePlanText}</p>
      <div className="stack" role="radiogroup" aria-label={bill.changePlan}>
        {offers.map(it => {
          const why = obstacle(it, instance, least)
          return (
            <label key={it.id} className={classes('plan', it.id === chosen && 'on', why && 'no')}>
              <input type="radio" className="visually-hidden" name="plan" checked={it.id === chosen} disabled={why !== null} onChange={() => choose(it.id)} />
              <span className="row">
                <span className="strong">{it.name}</span>
                {why && <span className="end t-12 faint">{why}</span>}
              </span>
              <PlanFacts plan={it} />
            </label>
          )
        })}
      </div>
      {wanted && now && (
        <p className="row top t-13">
          <Icon of={Info} size="s" />
          <span>
            {covered ? bill.costsSame : costs(wanted, now)}
            {wanted.backup_limit < now.backup_limit && ` ${bill.fewerBackups(wanted.backup_limit)}`}
          </span>
        </p>
      )}
    </FormDialog>
  )
}

const less = (used: { plan: string; quantity: number }[], plan: string) => used.map(it => (it.plan === plan ? { ...it, quantity: it.quantity - 1 } : it))

function costs(wanted: Plan, now: Plan): string {
  const difference = wanted.price_minor - now.price_minor
  if (difference === 0) return bill.costsSame
  const amount = money(Math.abs(difference), wanted.currency)
  return difference > 0 ? bill.costsMore(amount) : bill.costsLess(amount)
}
