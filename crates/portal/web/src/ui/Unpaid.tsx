/** Why something cannot be done while a payment is open, beside what cannot be pressed, with the way out. */
import { Link } from '@tanstack/react-router'
import { Ban } from 'lucide-react'
import type { Gate } from '../api/client'
import { useBlocked } from '../model/payment'
import { en } from '../text/en'
import { Icon } from './parts'

/** The id by which a button is described with it. */
export const unpaidId = (gate: Gate) => `unpaid-${gate}`

export function Unpaid({ gate }: { gate: Gate }) {
  if (!useBlocked(gate)) return null
  return (
    <p id={unpaidId(gate)} className="row top t-13 warn-t" data-unpaid={gate}>
      <Icon of={Ban} />
      <span>
        {en.payment.blocked[gate]} <Link to="/billing">{en.payment.toBilling}</Link>
      </span>
    </p>
  )
}
