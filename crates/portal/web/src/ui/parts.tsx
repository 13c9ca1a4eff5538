/** The small parts that every page is made of. */
import { Link } from '@tanstack/react-router'
import { AlertCircle, Check, Clock, CloudOff, Copy, LifeBuoy, Pause, Square, TriangleAlert, XCircle, type LucideIcon } from 'lucide-react'
import { useEffect, useId, useState, type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode } from 'react'
import { Problem } from '../api/problem'
import { ago, exact } from '../model/format'
import type { Mark, State } from '../model/state'
import { en } from '../text/en'
import { toast } from './toast'

export const classes = (...names: (string | false | null | undefined)[]) => names.filter(Boolean).join(' ')

export function Icon({ of: Drawing, size = 'm' }: { of: LucideIcon; size?: 's' | 'm' | 'l' }) {
  return <Drawing className={classes('i', size !== 'm' && size)} aria-hidden="true" />
}

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: 'primary' | 'ghost' | 'danger'
  size?: 's' | 'l'
  icon?: LucideIcon
  /** While it works: cannot be pressed, and says so with the verb in place. */
  working?: boolean | string
  full?: boolean
}

export function Button({ kind, size, icon, working, full, children, className, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={classes('button', kind, size, full && 'full', !children && 'square', className)}
      disabled={rest.disabled || Boolean(working)}
      aria-busy={Boolean(working)}
    >
      {working ? <span className="spin" /> : icon && <Icon of={icon} />}
      {typeof working === 'string' ? working : children}
    </button>
  )
}

type FieldProps = {
  label: ReactNode
  aside?: ReactNode
  hint?: ReactNode
  error?: ReactNode
  children: (props: { id: string; 'aria-describedby': string; 'aria-invalid': boolean }) => ReactNode
}

/** A label above, a hint or an error below; the room for it is kept. */
export function Field({ label, aside, hint, error, children }: FieldProps) {
  const id = useId()
  return (
    <div className="field">
      <div className="lab">
        <label htmlFor={id}>{label}</label>
        {aside}
      </div>
      {children({ id, 'aria-describedby': `${id}-about`, 'aria-invalid': Boolean(error) })}
      <span id={`${id}-about`} className={error ? 'err' : 'hint'} role={error ? 'alert' : undefined}>
        {error && <Icon of={AlertCircle} size="s" />}
        {error ?? hint ?? ' '}
      </span>
    </div>
  )
}

type TextFieldProps = Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange'> & Omit<FieldProps, 'children'> & { onChange: (value: string) => void }

export function TextField({ label, aside, hint, error, onChange, ...input }: TextFieldProps) {
  return (
    <Field label={label} aside={aside} hint={hint} error={error}>
      {props => <input {...input} {...props} className={classes('input', error ? 'bad' : null)} onChange={event => onChange(event.target.value)} />}
    </Field>
  )
}

const marks: Record<Exclude<Mark, 'dot' | 'spin'>, LucideIcon> = {
  clock: Clock,
  help: LifeBuoy,
  pause: Pause,
  cross: XCircle,
  warning: TriangleAlert,
  square: Square,
  cloud: CloudOff,
}

export function StatePill({ state }: { state: State }) {
  return (
    <span className={classes('pill', state.unsure ? 'stale' : state.tone !== 'off' && state.tone)} data-state={state.key}>
      {state.mark === 'dot' ? <span className={`dot ${state.tone}`} /> : state.mark === 'spin' ? <span className="spin" /> : <Icon of={marks[state.mark]} />}
      {state.word}
    </span>
  )
}

/** The whole text is the button. Works without permission for the clipboard by selecting it. */
export function CopyButton({ text, what = text }: { text: string; what?: string }) {
  const id = useId()
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      toast({ text: en.common.copied(what) })
    } catch {
      const node = document.getElementById(id)
      if (node) getSelection()?.selectAllChildren(node)
      toast({ text: en.common.copyFailed })
    }
  }
  return (
    <button type="button" className="copy mono" aria-label={en.common.copy(what)} onClick={copy}>
      <span id={id} className="truncate">
        {text}
      </span>
      <Icon of={Copy} size="s" />
    </button>
  )
}

/** A time that says how long ago it was, and exactly when on hover. Keeps up by itself. */
export function Ago({ at, say = ago }: { at: string; say?: (at: string) => string }) {
  const [, tick] = useState(0)
  useEffect(() => {
    const young = Date.now() - new Date(at).getTime() < 60_000
    const timer = setInterval(() => tick(n => n + 1), young ? 1_000 : 30_000)
    return () => clearInterval(timer)
  }, [at])
  return (
    <time dateTime={at} title={exact(at)}>
      {say(at)}
    </time>
  )
}

export function Empty({ icon, title, text, children }: { icon: LucideIcon; title: string; text?: string; children?: ReactNode }) {
  return (
    <div className="card empty">
      <Icon of={icon} size="l" />
      <h2>{title}</h2>
      {text && <p className="muted">{text}</p>}
      {children}
    </div>
  )
}

/** What went wrong in a part of the page, with the way on; the rest of the page works. */
export function ProblemNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = Problem.of(error)
  return (
    <div className="note bad" role="alert">
      <Icon of={AlertCircle} />
      <div className="grow stack t">
        <p className="t">{problem.message}</p>
        {problem.retryAfter && <p className="t-13">{en.problem.retryIn(problem.retryAfter)}</p>}
        {problem.request && <p className="t-12">{en.problem.request(problem.request)}</p>}
      </div>
      {problem.needsPayment && (
        <Link to="/billing" className="button s">
          {en.payment.toBilling}
        </Link>
      )}
      {onRetry && (
        <Button size="s" onClick={onRetry}>
          {en.problem.again}
        </Button>
      )}
    </div>
  )
}

/** Shown after a moment only: what comes quickly needs no placeholder. */
export function Skeleton({ children }: { children: ReactNode }) {
  const [shown, show] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => show(true), 150)
    return () => clearTimeout(timer)
  }, [])
  return (
    <div className={classes('sk', !shown && 'later')} aria-busy="true" aria-label={en.common.loading}>
      {children}
    </div>
  )
}

type CheckboxProps = { checked: boolean; disabled?: boolean; onChange: (checked: boolean) => void; children: ReactNode }

export function Checkbox({ checked, disabled, onChange, children }: CheckboxProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} disabled={disabled} onChange={event => onChange(event.target.checked)} />
      <span className="stack t">{children}</span>
    </label>
  )
}

export function Done({ children }: { children: ReactNode }) {
  return (
    <span className="row t-13 ok-t" role="status">
      <Icon of={Check} size="s" />
      {children}
    </span>
  )
}
