/** Who one is, the password, and the keys of programs. */
import { useQuery, useQueryClient, useSuspenseQuery } from '@tanstack/react-query'
import { KeyRound, Monitor, Plus } from 'lucide-react'
import { useState, type SubmitEvent } from 'react'
import { api, unwrap, type ApiKey } from '../api/client'
import { Problem } from '../api/problem'
import { apiKeys, me, sessions } from '../api/queries'
import { day } from '../model/format'
import { useTitle } from '../shell/title'
import { en } from '../text/en'
import { Confirm, Dialog } from '../ui/Dialog'
import { Ago, Button, Checkbox, CopyButton, Done, Field, Icon, ProblemNote, TextField } from '../ui/parts'
import { toast } from '../ui/toast'
import { NotePad } from './Note'
import { PasswordField } from './SignIn'

type Scope = ApiKey['scopes'][number]

export function Account() {
  useTitle(en.account.title)
  const { data: viewer } = useSuspenseQuery(me)
  return (
    <main className="main">
      <h1>{en.account.title}</h1>
      <div className="stack l narrow">
        <section className="card" aria-label={en.account.profile}>
          <header>
            <h2>{en.account.profile}</h2>
          </header>
          <dl className="facts pad">
            <dt>{en.auth.name}</dt>
            <dd>
              <bdi>{viewer.display_name}</bdi>
            </dd>
            <dt>{en.account.mail}</dt>
            <dd>
              {viewer.email}
              <Verification verifiedAt={viewer.email_verified_at} email={viewer.email} />
            </dd>
            <dt>{en.account.member}</dt>
            <dd>{day(viewer.created_at)}</dd>
          </dl>
        </section>
        <NotePad place={null} title={en.note.account} hint={en.note.accountHint} />
        <Password />
        <Sessions />
        <Keys />
      </div>
    </main>
  )
}

/** Whether somebody showed that the address is theirs, and the way to do so. */
function Verification({ verifiedAt, email }: { verifiedAt: string | null; email: string }) {
  const [working, work] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const queries = useQueryClient()
  if (verifiedAt) return <span className="t-13 muted verification">{en.account.verified}</span>
  const send = async () => {
    work(true)
    setProblem(null)
    try {
      await unwrap(api.POST('/api/email/verification-requests'))
      toast({ text: en.account.sentAgain(email) })
    } catch (error) {
      const why = Problem.of(error)
      // It was verified meanwhile, in another window or on a phone.
      if (why.code === 'email_verified') await queries.invalidateQueries(me)
      else setProblem(why)
    }
    work(false)
  }
  return (
    <div className="verification stack t">
      <span className="t-13 muted">{en.account.unverified}</span>
      {problem && <ProblemNote error={problem} />}
      <Button size="s" working={working && en.links.sending} onClick={() => void send()}>
        {en.account.sendAgain}
      </Button>
    </div>
  )
}

function Password() {
  const [current, setCurrent] = useState('')
  const [fresh, setFresh] = useState('')
  const [revoke, setRevoke] = useState(true)
  const [state, setState] = useState<'idle' | 'working' | 'done'>('idle')
  const [problem, setProblem] = useState<Problem | null>(null)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setState('working')
    setProblem(null)
    try {
      await unwrap(api.POST('/api/me/password', { body: { current_password: current, new_password: fresh, revoke_api_keys: revoke } }))
      setCurrent('')
      setFresh('')
      setState('done')
    } catch (error) {
      setProblem(Problem.of(error))
      setState('idle')
    }
  }
  const field = (of: string) => problem?.fields.get(of)
  return (
    <section className="card" aria-label={en.account.password}>
      <header>
        <h2>{en.account.password}</h2>
      </header>
      <form className="pad5 stack m" onSubmit={submit}>
        <PasswordField label={en.account.current} autoComplete="current-password" value={current} onChange={setCurrent} error={field('current_password')} />
        <PasswordField label={en.account.new} autoComplete="new-password" hint={en.auth.passwordHint} value={fresh} onChange={setFresh} error={field('new_password')} />
        <Checkbox checked={revoke} onChange={setRevoke}>
          <span>{en.account.revoke}</span>
          <span className="t-13 muted">{en.account.revokeHint}</span>
        </Checkbox>
        {problem && problem.fields.size === 0 && <ProblemNote error={problem} />}
        <div className="row">
          <Button type="submit" kind="primary" disabled={!current || !fresh} working={state === 'working' && en.common.working}>
            {en.account.change}
          </Button>
          {state === 'done' && <Done>{en.account.changed}</Done>}
        </div>
      </form>
    </section>
  )
}

/** What a browser calls itself, in two words. */
function browserOf(agent: string): string {
  const find = (known: [RegExp, string][]) => known.find(([pattern]) => pattern.test(agent))?.[1] ?? ''
  const name = find([[/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/Firefox\//, 'Firefox'], [/Chrome\//, 'Chrome'], [/Safari\//, 'Safari']])
  const system = find([[/Android/, 'Android'], [/iPhone|iPad/, 'iOS'], [/Windows/, 'Windows'], [/Mac OS X/, 'macOS'], [/Linux/, 'Linux']])
  return en.account.browser(name, system)
}

function Sessions() {
  const queries = useQueryClient()
  const list = useQuery(sessions)
  const [problem, setProblem] = useState<Problem | null>(null)
  const end = async (id: string) => {
    setProblem(null)
    try {
      await unwrap(api.DELETE('/api/sessions/{id}', { params: { path: { id } } }))
      toast({ text: en.account.sessionEnded })
    } catch (error) {
      setProblem(Problem.of(error))
    }
    await queries.invalidateQueries(sessions)
  }
  return (
    <section className="card" aria-label={en.account.sessions}>
      <header>
        <h2>{en.account.sessions}</h2>
      </header>
      {problem && <ProblemNote error={problem} />}
      {list.isError && <ProblemNote error={list.error} onRetry={() => void list.refetch()} />}
      <ul className="feed">
        {list.data?.map(it => (
          <li key={it.id}>
            <Icon of={Monitor} />
            <div className="grow stack t">
              <span className="strong" title={it.user_agent}>
                {browserOf(it.user_agent)}
              </span>
              <span className="t-13 faint">{it.current ? en.account.thisOne : <Ago at={it.last_seen_at} say={en.account.seen} />}</span>
            </div>
            {!it.current && (
              <Button kind="ghost" size="s" className="danger-text" onClick={() => void end(it.id)}>
                {en.account.endSession}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}

function Keys() {
  const queries = useQueryClient()
  const keys = useQuery(apiKeys)
  const [making, make] = useState(false)
  const [revoking, revoke] = useState<ApiKey | null>(null)
  return (
    <section className="card" aria-label={en.account.keys}>
      <header>
        <h2 className="grow">{en.account.keys}</h2>
        <Button size="s" icon={Plus} onClick={() => make(true)}>
          {en.account.newKey}
        </Button>
      </header>
      <p className="pad t-13 muted">{en.account.keysText}</p>
      {keys.isError && <ProblemNote error={keys.error} onRetry={() => void keys.refetch()} />}
      {keys.data?.length === 0 && <p className="pad muted">{en.account.noKeys}</p>}
      <ul className="feed">
        {keys.data?.map(it => (
          <li key={it.id}>
            <Icon of={KeyRound} />
            <div className="grow stack t">
              <span>
                <bdi className="strong">{it.name}</bdi> <code className="t-13 muted">{`${it.prefix}…`}</code>
              </span>
              <span className="t-13 muted">{it.scopes.map(scope => en.account.scopes[scope]).join(', ')}</span>
              <span className="t-13 faint">
                {`${en.account.used(it.last_used_at)}, ${en.account.until(it.expires_at)}`}
              </span>
            </div>
            <Button kind="ghost" size="s" className="danger-text" onClick={() => revoke(it)}>
              {en.account.revokeKey}
            </Button>
          </li>
        ))}
      </ul>
      {making && <NewKey onClose={() => (make(false), void queries.invalidateQueries(apiKeys))} />}
      {revoking && (
        <Confirm
          title={en.account.revokeAsk(revoking.name)}
          text={en.account.revokeText}
          verb={en.account.revokeKey}
          onConfirm={async () => {
            await unwrap(api.DELETE('/api/api-keys/{id}', { params: { path: { id: revoking.id } } }))
            await queries.invalidateQueries(apiKeys)
            toast({ text: en.account.revoked })
          }}
          onClose={() => revoke(null)}
        />
      )}
    </section>
  )
}

const LIVES = [30, 90, 365]

function NewKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('')
  const [scopes, setScopes] = useState<Scope[]>(['instances:read'])
  const [days, setDays] = useState(90)
  const [password, setPassword] = useState('')
  const [made, setMade] = useState<string | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [working, work] = useState(false)
  const asksPassword = problem?.code === 'password_required' || problem?.fields.has('password') || password !== ''
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    work(true)
    try {
      const expires_at = new Date(Date.now() + days * 86_400_000).toISOString()
      const { key } = await unwrap(api.POST('/api/api-keys', { body: { name: name.trim(), scopes, expires_at, ...(password && { password }) } }))
      setMade(key)
    } catch (error) {
      setProblem(Problem.of(error))
      work(false)
    }
  }
  if (made) {
    return (
      <Dialog
        title={en.account.keys}
        onClose={onClose}
        foot={
          <Button kind="primary" onClick={onClose}>
            {en.account.done}
          </Button>
        }
      >
        <p className="muted">{en.account.keyMade}</p>
        <CopyButton text={made} what={en.account.keys} />
      </Dialog>
    )
  }
  return (
    <Dialog title={en.account.newKey} onClose={onClose}>
      <form className="stack m" onSubmit={submit}>
        <TextField label={en.account.keyName} value={name} onChange={setName} error={problem?.fields.get('name')} required autoFocus />
        <fieldset className="stack">
          <legend className="t-13 strong">{en.account.keyScopes}</legend>
          {(Object.keys(en.account.scopes) as Scope[]).map(scope => (
            <Checkbox key={scope} checked={scopes.includes(scope)} onChange={on => setScopes(on ? [...scopes, scope] : scopes.filter(it => it !== scope))}>
              <span>{en.account.scopes[scope]}</span>
            </Checkbox>
          ))}
        </fieldset>
        <Field label={en.account.expires}>
          {props => (
            <select {...props} className="input" value={days} onChange={event => setDays(Number(event.target.value))}>
              {LIVES.map(it => (
                <option key={it} value={it}>
                  {en.account.days(it)}
                </option>
              ))}
            </select>
          )}
        </Field>
        {asksPassword && (
          <PasswordField label={en.account.keyPassword} autoComplete="current-password" hint={en.account.keyPasswordHint} value={password} onChange={setPassword} error={problem?.fields.get('password')} />
        )}
        {problem && problem.fields.size === 0 && problem.code !== 'password_required' && <ProblemNote error={problem} />}
        <div className="row">
          <Button className="end" onClick={onClose}>
            {en.common.cancel}
          </Button>
          <Button type="submit" kind="primary" disabled={!name.trim() || scopes.length === 0} working={working && en.common.working}>
            {en.account.makeKey}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
