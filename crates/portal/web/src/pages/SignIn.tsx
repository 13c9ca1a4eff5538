/** Signing in, and making an account. */
import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { Eye, EyeOff } from 'lucide-react'
import { useState, type ReactNode, type SubmitEvent } from 'react'
import { api, unwrap, type Me } from '../api/client'
import { Problem } from '../api/problem'
import { me } from '../api/queries'
import { session } from '../api/session'
import { useTitle } from '../shell/title'
import { en } from '../text/en'
import { Button, classes, Field, ProblemNote, TextField } from '../ui/parts'

/** Goes on to where somebody wanted to go. */
function useEnter() {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const { next } = useSearch({ strict: false }) as { next?: string }
  return (viewer: Me) => {
    // Nothing of who was signed in before is left.
    queries.clear()
    queries.setQueryData(me.queryKey, viewer)
    session.began()
    void navigate({ href: next ?? '/' })
  }
}

export function SignIn() {
  useTitle(en.auth.signIn)
  const enter = useEnter()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const { submit, working, problem } = useSubmit(() => unwrap(api.POST('/api/auth/login', { body: { email, password } })), enter)
  const wrong = problem?.status === 401
  return (
    <Gate title={en.auth.signInTo} sub={en.auth.tagline} foot={[en.auth.newHere, en.auth.makeAccount, '/register']}>
      <form className="card pad6 stack m" onSubmit={submit}>
        <TextField label={en.auth.email} type="email" autoComplete="username" value={email} onChange={setEmail} required autoFocus />
        <PasswordField
          label={en.auth.password}
          aside={
            <Link to="/reset" className="t-13">
              {en.auth.forgot}
            </Link>
          }
          autoComplete="current-password"
          value={password}
          onChange={setPassword}
          error={wrong ? problem.message : undefined}
        />
        {problem && !wrong && <ProblemNote error={problem} />}
        <Button type="submit" kind="primary" size="l" full working={working && en.auth.signingIn}>
          {en.auth.signIn}
        </Button>
      </form>
    </Gate>
  )
}

export function Register() {
  useTitle(en.auth.register)
  const enter = useEnter()
  const [name, setName] = useState('')
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const body = { email, password, ...(name.trim() && { display_name: name.trim() }) }
  const { submit, working, problem } = useSubmit(() => unwrap(api.POST('/api/auth/register', { body })), enter)
  const field = (of: string) => problem?.fields.get(of)
  return (
    <Gate title={en.auth.registerTitle} sub={en.auth.registerSub} foot={[en.auth.haveOne, en.auth.signIn, '/login']}>
      <form className="card pad6 stack m" onSubmit={submit}>
        <TextField label={en.auth.name} autoComplete="name" hint={en.auth.nameHint} value={name} onChange={setName} error={field('display_name')} autoFocus />
        <TextField label={en.auth.email} type="email" autoComplete="username" value={email} onChange={setEmail} error={field('email')} required />
        <PasswordField label={en.auth.password} autoComplete="new-password" hint={en.auth.passwordHint} value={password} onChange={setPassword} error={field('password')} />
        {problem && problem.fields.size === 0 && <ProblemNote error={problem} />}
        <Button type="submit" kind="primary" size="l" full working={working && en.auth.making}>
          {en.auth.register}
        </Button>
      </form>
    </Gate>
  )
}

function useSubmit(send: () => Promise<Me>, enter: (viewer: Me) => void) {
  const [working, setWorking] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setWorking(true)
    setProblem(null)
    try {
      enter(await send())
    } catch (error) {
      setProblem(Problem.of(error))
      setWorking(false)
    }
  }
  return { submit, working, problem }
}

type PasswordProps = { label: string; autoComplete: string; value: string; onChange: (value: string) => void; hint?: string; aside?: ReactNode; error?: string | undefined }

export function PasswordField({ label, autoComplete, value, onChange, hint, aside, error }: PasswordProps) {
  const [shown, show] = useState(false)
  return (
    <Field label={label} aside={aside} hint={hint} error={error}>
      {props => (
        <div className="with">
          <input
            {...props}
            className={classes('input', error && 'bad')}
            type={shown ? 'text' : 'password'}
            autoComplete={autoComplete}
            value={value}
            onChange={event => onChange(event.target.value)}
            required
          />
          <Button kind="ghost" size="s" icon={shown ? EyeOff : Eye} aria-label={shown ? en.auth.hide : en.auth.show} onClick={() => show(!shown)} />
        </div>
      )}
    </Field>
  )
}

export function Gate({ title, sub, foot: [ask, verb, to], children }: { title: string; sub: string; foot: [string, string, '/login' | '/register']; children: ReactNode }) {
  return (
    <div className="gate">
      <main className="gatebox">
        <div className="stack center">
          <span className="biglogo">
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <rect className="m1" width="24" height="24" rx="6.5" />
              <path className="m2" d="M6.5 6.5h11v2.6l-6.9 6h6.9v2.4h-11v-2.6l6.9-6H6.5z" />
            </svg>
          </span>
          <h1>{title}</h1>
          <p className="muted">{sub}</p>
        </div>
        {children}
        <p className="center t-13 muted">
          {ask} <Link to={to}>{verb}</Link>
        </p>
      </main>
    </div>
  )
}
