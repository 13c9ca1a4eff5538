/** A dialog of the platform: focus, Esc and the page behind it are the browser's. A sheet from below on phones. */
import { useEffect, useId, useRef, useState, type ReactNode, type SubmitEvent } from 'react'
import { Problem } from '../api/problem'
import { en } from '../text/en'
import { Button, ProblemNote, TextField } from './parts'

type DialogProps = { title: ReactNode; onClose: () => void; children: ReactNode; foot?: ReactNode; wide?: boolean }

export function Dialog({ title, onClose, children, foot, wide }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const node = dialog.current
    const before = document.activeElement
    node?.showModal()
    return () => {
      node?.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      className={wide ? 'dialog wide' : 'dialog'}
      aria-labelledby={id}
      onCancel={event => {
        event.preventDefault()
        onClose()
      }}
    >
      <div className="body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
      {foot && <div className="foot">{foot}</div>}
    </dialog>
  )
}

type ConfirmProps = {
  title: string
  steps?: readonly string[]
  text?: ReactNode
  /** What has to be typed before it can be done. */
  name?: string
  verb: string
  children?: ReactNode
  onConfirm: () => Promise<unknown>
  onClose: () => void
}

/** Asks before something that cannot be undone, and does it. */
export function Confirm({ title, steps, text, name, verb, children, onConfirm, onClose }: ConfirmProps) {
  const [typed, type] = useState('')
  const [working, work] = useState(false)
  const [error, fail] = useState<Problem | null>(null)
  const confirm = async () => {
    work(true)
    fail(null)
    try {
      await onConfirm()
      onClose()
    } catch (failure) {
      fail(Problem.of(failure))
      work(false)
    }
  }
  const foot = (
    <>
      <Button onClick={onClose} autoFocus>
        {en.common.cancel}
      </Button>
      <Button kind="danger" working={working} disabled={name !== undefined && typed.trim() !== name} onClick={confirm}>
        {verb}
      </Button>
    </>
  )
  return (
    <Dialog title={title} onClose={onClose} foot={foot}>
      {steps && (
        <ol className="plan3">
          {steps.map((step, at) => (
            <li key={step}>
              <b>{at + 1}</b>
              <span>{step}</span>
            </li>
          ))}
        </ol>
      )}
      {text && <p className="muted">{text}</p>}
      {children}
      {name !== undefined && <TextField label={en.backups.typeName(name)} value={typed} onChange={type} autoComplete="off" spellCheck={false} />}
      {error && <ProblemNote error={error} />}
    </Dialog>
  )
}

type FormProps = { title: string; verb: string; ready: boolean; onDone: () => Promise<unknown>; onClose: () => void; children: ReactNode | ((problem: Problem | null) => ReactNode) }

/** A form in a dialog that closes once it was done, and says why it was not. */
export function FormDialog({ title, verb, ready, onDone, onClose, children }: FormProps) {
  const [problem, setProblem] = useState<Problem | null>(null)
  const [working, work] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    work(true)
    setProblem(null)
    try {
      await onDone()
      onClose()
    } catch (error) {
      setProblem(Problem.of(error))
      work(false)
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack m" onSubmit={submit}>
        {typeof children === 'function' ? children(problem) : children}
        {problem && (typeof children !== 'function' || problem.fields.size === 0) && <ProblemNote error={problem} />}
        <div className="row">
          <Button className="end" onClick={onClose}>
            {en.common.cancel}
          </Button>
          <Button type="submit" kind="primary" disabled={!ready} working={working && en.common.working}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

type NameProps = { title: string; label: string; value: string; verb: string; onDone: (typed: string) => Promise<unknown>; onClose: () => void }

/** Asks what something is to be called. */
export function NameDialog({ title, label, value, verb, onDone, onClose }: NameProps) {
  const [typed, type] = useState(value)
  const name = typed.trim()
  return (
    <FormDialog title={title} verb={verb} ready={name !== '' && name !== value} onDone={() => onDone(name)} onClose={onClose}>
      <TextField label={label} value={typed} onChange={type} autoFocus spellCheck={false} autoComplete="off" required />
    </FormDialog>
  )
}
