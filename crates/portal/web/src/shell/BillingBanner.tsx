/** Above every page while a payment is open: what follows, until when, and the way out. It stays until it is paid. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { CircleCheck, TriangleAlert, X } from 'lucide-react'
import { useState } from 'react'
import { billing } from '../api/billing'
import type { Billing } from '../api/client'
import { draft } from '../model/draft'
import { money } from '../model/format'
import { isOpen } from '../model/payment'
import { en } from '../text/en'
import { Button, classes, Icon } from '../ui/parts'

/** Which recovery somebody has read of: by the time at which it began. */
const read = draft<string>('restored', localStorage)

export function BillingBanner() {
  const { data } = useQuery(billing)
  if (data?.stage === 'restored') return <Restored key={data.entered_at} at={data.entered_at ?? ''} />
  if (!data || !isOpen(data.stage)) return null
  return (
    <div className={classes('banner', data.stage === 'suspended' ? 'bad' : 'warn')} role="status" data-stage={data.stage}>
      <Icon of={TriangleAlert} />
      <span>
        <b>{en.payment.lead(data.cause)}</b> {en.payment.follows(data)} <WayOut of={data} />
      </span>
    </div>
  )
}

/** To the page on which it is paid, if there is one that takes the money at once. */
function WayOut({ of: { owed } }: { of: Billing }) {
  return owed?.pay_url ? <a href={owed.pay_url}>{en.payment.pay(money(owed.amount_minor, owed.currency))}</a> : <Link to="/billing">{en.payment.howToPay}</Link>
}

function Restored({ at }: { at: string }) {
  const [hidden, hide] = useState(() => read.read() === at)
  if (hidden) return null
  return (
    <div className="banner ok" role="status" data-stage="restored">
      <Icon of={CircleCheck} />
      <span className="grow">
        <b>{en.payment.restored}</b> {en.payment.restoredText}
      </span>
      <Button
        kind="ghost"
        size="s"
        icon={X}
        aria-label={en.common.dismiss}
        onClick={() => {
          read.write(at)
          hide(true)
        }}
      />
    </div>
  )
}
