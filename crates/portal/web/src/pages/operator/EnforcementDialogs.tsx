/** What operators say about a customer's payments, each with a reason. */
import { useQuery } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { api, unwrap, type EnforcementDetail, type Grant } from '../../api/client'
import { plans } from '../../api/queries'
import { bill } from '../../text/en-billing'
import { FormDialog } from '../../ui/Dialog'
import { Field, TextField } from '../../ui/parts'

const words = bill.operator

type ReasonedProps = { title: string; text: string; verb: string; ready?: boolean; onDone: (reason: string) => Promise<unknown>; onClose: () => void; children?: ReactNode }

/** A form that asks for a reason last. */
export function Reasoned({ title, text, verb, ready = true, onDone, onClose, children }: ReasonedProps) {
  const [reason, give] = useState('')
  return (
    <FormDialog title={title} verb={verb} ready={ready && reason.trim().length >= 3} onDone={() => onDone(reason.trim())} onClose={onClose}>
      <p className="muted">{text}</p>
      {children}
      <TextField label={words.reason} hint={words.reasonHint} value={reason} onChange={give} required maxLength={500} />
    </FormDialog>
  )
}

type Of = { id: string; onDone: (detail: EnforcementDetail) => void; onClose: () => void }

/** A moment as the browser's field gives it: the viewer's clock. */
const moment = (typed: string): string | null => {
  const at = new Date(typed)
  return Number.isNaN(at.getTime()) ? null : at.toISOString()
}

export function Extend({ id, onDone, onClose }: Of) {
  const [typed, type] = useState('')
  // Against the time at which it was typed: one that is past gives no time.
  const [until, give] = useState<string | null>(null)
  const enter = (text: string) => {
    const at = moment(text)
    type(text)
    give(at && new Date(at).getTime() > Date.now() ? at : null)
  }
  const extend = async (reason: string) => onDone(await unwrap(api.POST('/api/operator/billing/{id}/extension', { params: { path: { id } }, body: { until, reason } })))
  return (
    <Reasoned title={words.extendAsk} text={words.extendText} verb={words.extend} ready={until !== null} onDone={extend} onClose={onClose}>
      <TextField label={words.extendUntil} type="datetime-local" value={typed} onChange={enter} required autoFocus />
    </Reasoned>
  )
}

export function Exempt({ id, exempt, onDone, onClose }: Of & { exempt: boolean }) {
  return (
    <Reasoned
      title={exempt ? words.exemptAsk : words.endExemptionAsk}
      text={exempt ? words.exemptText : words.endExemptionText}
      verb={exempt ? words.exemptIt : words.endExemption}
      onDone={async reason => onDone(await unwrap(api.POST('/api/operator/billing/{id}/exemption', { params: { path: { id } }, body: { exempt, reason } })))}
      onClose={onClose}
    />
  )
}

export function GrantServers({ id, onDone, onClose }: Of) {
  const offers = useQuery(plans)
  const [plan, choose] = useState('')
  const [quantity, count] = useState('1')
  const [typed, type] = useState('')
  const expires_at = moment(typed)
  const n = Number(quantity)
  const ready = Number.isInteger(n) && n >= 1 && n <= 10_000 && (typed === '' || expires_at !== null)
  const grant = async (reason: string) =>
    onDone(await unwrap(api.POST('/api/operator/billing/{id}/grants', { params: { path: { id } }, body: { quantity: n, reason, ...(plan && { plan }), ...(expires_at && { expires_at }) } })))
  return (
    <Reasoned title={words.addGrant} text={words.grantText} verb={words.addGrant} ready={ready} onDone={grant} onClose={onClose}>
      <Field label={bill.plan}>
        {props => (
          <select {...props} className="input" value={plan} onChange={event => choose(event.target.value)}>
            <option value="">{words.anyPlan}</option>
            {offers.data?.map(it => (
              <option key={it.id} value={it.id}>
                {it.name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <TextField label={words.quantity} type="number" min={1} max={10_000} value={quantity} onChange={count} required />
      <TextField label={words.expires} type="datetime-local" value={typed} onChange={type} />
    </Reasoned>
  )
}

export function Revoke({ id, grant, onDone, onClose }: Of & { grant: Grant }) {
  return (
    <Reasoned
      title={words.revokeAsk}
      text={words.revokeText}
      verb={words.revoke}
      onDone={async reason => onDone(await unwrap(api.POST('/api/operator/billing/{id}/grants/{grant}/revoke', { params: { path: { id, grant: grant.id } }, body: { reason } })))}
      onClose={onClose}
    />
  )
}
