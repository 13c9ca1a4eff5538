/** A purchase under way: to be gone on with, at the bank, or just paid by somebody who comes back from Stripe's page. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { CircleCheck, CircleX, Clock, Landmark, ShoppingCart, type LucideIcon } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { billing } from '../../api/billing'
import type { Billing } from '../../api/client'
import { returned, WAIT_MS } from '../../model/billing'
import { bill } from '../../text/en-billing'
import { Button, classes, Icon } from '../../ui/parts'
import { createDraft } from '../createDraft'
import type { Pay } from './pay'
import { usePlanName } from './Subscription'

/** How often it is asked whether the payment has arrived. */
const LOOK_MS = 2_000

export function Purchase({ of, back, pay }: { of: Billing; back: string | undefined; pay: Pay }) {
  if (back !== undefined) return <Back key={back} of={of} checkout={back} pay={pay} />
  if (of.checkout?.state === 'pending') return <AtTheBank />
  return <Begun of={of} pay={pay} />
}

function Back({ of, checkout, pay }: { of: Billing; checkout: string; pay: Pay }) {
  const [late, setLate] = useState(false)
  const state = returned(checkout, of, late)
  useQuery({ ...billing, refetchInterval: LOOK_MS, enabled: state === 'waiting' })
  useEffect(() => {
    if (state !== 'waiting') return
    const timer = setTimeout(() => setLate(true), WAIT_MS)
    return () => clearTimeout(timer)
  }, [state])
  switch (state) {
    case 'waiting':
      return <Note tone="info" icon={null} title={bill.waiting} text={bill.waitingText} />
    case 'late':
      return (
        <Note tone="warn" icon={Clock} title={bill.late} text={bill.lateText}>
          {of.checkout?.url && (
            <a href={of.checkout.url} className="button s">
              {bill.goOn}
            </a>
          )}
          <Button size="s" onClick={() => setLate(false)}>
            {bill.lookAgain}
          </Button>
        </Note>
      )
    case 'pending':
      return <AtTheBank />
    case 'paid':
      return (
        <Note tone="ok" icon={CircleCheck} title={bill.paid} text={bill.paidText}>
          {createDraft.read()?.paying && (
            <Link to="/new" className="button primary s">
              {bill.createNow}
            </Link>
          )}
        </Note>
      )
    case 'cancelled':
      return (
        <>
          <Note icon={CircleX} title={bill.cancelled} text={bill.cancelledText} />
          <Begun of={of} pay={pay} />
        </>
      )
  }
}

const AtTheBank = () => <Note tone="info" icon={Landmark} title={bill.pending} text={bill.pendingText} />

function Begun({ of: { checkout, now }, pay }: { of: Billing; pay: Pay }) {
  const name = usePlanName()
  if (checkout?.state !== 'open' || new Date(checkout.expires_at) <= new Date(now)) return null
  const what = bill.counted(checkout.items.map(it => ({ ...it, plan: name(it.plan) })))
  return (
    <Note tone="info" icon={ShoppingCart} title={bill.begun} text={bill.begunText(what, checkout.expires_at, now)}>
      {checkout.url ? (
        <a href={checkout.url} className="button primary s">
          {bill.goOn}
        </a>
      ) : (
        <Button kind="primary" size="s" working={(pay.working?.startsWith('buy') ?? false) && bill.opening} onClick={() => void pay.buy(checkout.items)}>
          {bill.goOn}
        </Button>
      )}
    </Note>
  )
}

type NoteProps = { tone?: 'ok' | 'info' | 'warn'; icon: LucideIcon | null; title: string; text: string; children?: ReactNode }

function Note({ tone, icon, title, text, children }: NoteProps) {
  return (
    <div className={classes('note', tone)} role="status">
      {icon ? <Icon of={icon} /> : <span className="spin" />}
      <div className="grow stack t">
        <p className="t">{title}</p>
        <p>{text}</p>
      </div>
      {children && <div className="row">{children}</div>}
    </div>
  )
}
