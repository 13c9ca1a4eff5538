/** Short messages of what was done. Never the only place of an error. */
import { Link } from '@tanstack/react-router'
import { Check, X } from 'lucide-react'
import { useSyncExternalStore } from 'react'
import { Problem } from '../api/problem'
import { en } from '../text/en'
import { Button, Icon } from './parts'

type Toast = { id: number; text: string; action?: { label: string; run: () => void }; unpaid?: boolean }

const LASTS_MS = 6_000
const MOST = 3

let toasts: readonly Toast[] = []
let newest = 0
const listeners = new Set<() => void>()

function set(next: readonly Toast[]): void {
  toasts = next
  listeners.forEach(listener => listener())
}

const drop = (id: number) => set(toasts.filter(it => it.id !== id))

export function toast(message: Omit<Toast, 'id'>): void {
  newest += 1
  const id = newest
  set([...toasts.slice(1 - MOST), { id, ...message }])
  const expire = () => {
    // While somebody reads or uses it, it stays.
    if (document.querySelector(`[data-toast="${id}"]:is(:hover, :focus-within)`)) setTimeout(expire, 1_000)
    else drop(id)
  }
  setTimeout(expire, LASTS_MS)
}

/** What went wrong with something that was pressed, with the way out where there is one. */
export function toastProblem(error: unknown): void {
  const { message, needsPayment } = Problem.of(error)
  toast({ text: message, unpaid: needsPayment })
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts)
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map(({ id, text, action, unpaid }) => (
        <div key={id} className="toast" data-toast={id}>
          <Icon of={Check} />
          <span className="grow">{text}</span>
          {action && (
            <Button
              size="s"
              onClick={() => {
                action.run()
                drop(id)
              }}
            >
              {action.label}
            </Button>
          )}
          {unpaid && (
            <Link to="/billing" className="button s" onClick={() => drop(id)}>
              {en.payment.toBilling}
            </Link>
          )}
          <Button kind="ghost" size="s" icon={X} aria-label={en.common.dismiss} onClick={() => drop(id)} />
        </div>
      ))}
    </div>
  )
}
