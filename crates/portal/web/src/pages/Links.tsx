/** Where links lead that were mailed: a new password, and whether an address is one's own. What lets somebody in follows the `#`,
 * so that it reaches no server and no log but in the request that uses it; and opening a page uses nothing up. */
import { useQueryClient } from '@tanstack/react-query'
import { Link, useLocation } from '@tanstack/react-router'
import { CheckCircle2, MailCheck, TriangleAlert } from 'lucide-react'
import { useState, type SubmitEvent } from 'react'
import { api, unwrap } from '../api/client'
import { Problem } from '../api/problem'
import { me } from '../api/queries'
import { useTitle } from '../shell/title'
import { en } from '../text/en'
import { Button, Checkbox, Icon, ProblemNote, TextField } from '../ui/parts'
import { Gate, PasswordField } from './SignIn'

const useToken = () => useLocation({ select: location => location.hash })

/** Something that is sent once, and is done then. */
function useSending(send: () => Promise<unknown>) {
  const [state, setState] = useState<'idle' | 'working' | 'done'>('idle')
  const [problem, setProblem] = useState<Problem | null>(null)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setState('working')
    setProblem(null)
    try {
      await send()
      setState('done')
    } catch (error) {
      setProblem(Problem.of(error))
      setState('idle')
    }
  }
  return { submit, working: state === 'working', done: state === 'done', problem }
}

export function Reset() {
  useTitle(en.links.reset)
  const token = useToken()
  return token ? <Choose key={token} token={token} /> : <Ask />
}

function Ask() {
  const [email, setEmail] = useState('')
  const { submit, working, done, problem } = useSending(() => unwrap(api.POST('/api/password/reset-requests', { body: { email } })))
  const wrong = problem?.fields.get('email')
  return (
    <Gate title={en.links.reset} sub={en.links.resetSub} foot={[en.links.remembered, en.auth.signIn, '/login']}>
      {done ? (
        <div className="note ok" role="status">
          <Icon of={MailCheck} />
          <div className="grow stack t">
            <p className="t">{en.links.sent(email)}</p>
            <p>{en.links.sentText}</p>
          </div>
        </div>
      ) : (
        <form className="card pad6 stack m" onSubmit={submit}>
          <TextField label={en.auth.email} type="email" autoComplete="username" value={email} onChange={setEmail} error={wrong} required autoFocus />
          {problem && !wrong && <ProblemNote error={problem} />}
          <Button type="submit" kind="primary" size="l" full working={working && en.links.sending}>
            {en.links.send}
          </Button>
        </form>
      )}
    </Gate>
  )
}

function Choose({ token }: { token: string }) {
  const queries = useQueryClient()
  const [password, setPassword] = useState('')
  const [revoke, setRevoke] = useState(false)
  const { submit, working, done, problem } = useSending(async () => {
    await unwrap(api.POST('/api/password/resets', { body: { token, password, revoke_keys: revoke } }))
    // Whoever was signed in here is no more.
    queries.clear()
  })
  const wrong = problem?.fields.get('password')
  return (
    <Gate title={en.links.choose} sub={en.links.chooseSub} foot={[en.links.remembered, en.auth.signIn, '/login']}>
      {done ? (
        <div className="card pad6 stack m">
          <div className="note ok" role="status">
            <Icon of={CheckCircle2} />
            <div className="grow stack t">
              <p className="t">{en.links.chosen}</p>
              <p>{revoke ? en.links.chosenRevoked : en.links.chosenText}</p>
            </div>
          </div>
          <Link to="/login" className="button primary l full">
            {en.auth.signIn}
          </Link>
        </div>
      ) : (
        <form className="card pad6 stack m" onSubmit={submit}>
          <PasswordField label={en.account.new} autoComplete="new-password" hint={en.auth.passwordHint} value={password} onChange={setPassword} error={wrong} />
          <Checkbox checked={revoke} onChange={setRevoke}>
            <span>{en.account.revoke}</span>
            <span className="t-13 muted">{en.account.revokeHint}</span>
          </Checkbox>
          {problem && !wrong && <ProblemNote error={problem} />}
          {problem?.code === 'link_invalid' ? (
            <Link to="/reset" className="button l full">
              {en.links.another}
            </Link>
          ) : (
            <Button type="submit" kind="primary" size="l" full disabled={!password} working={working && en.common.working}>
              {en.links.set}
            </Button>
          )}
        </form>
      )}
    </Gate>
  )
}

export function Verify() {
  useTitle(en.links.verify)
  const token = useToken()
  const queries = useQueryClient()
  const { submit, working, done, problem } = useSending(async () => {
    await unwrap(api.POST('/api/email/verifications', { body: { token } }))
    await queries.invalidateQueries(me)
  })
  return (
    <Gate title={en.links.verify} sub={en.links.verifySub} foot={[en.links.notSigned, en.auth.signIn, '/login']}>
      {done ? (
        <div className="note ok" role="status">
          <Icon of={CheckCircle2} />
          <div className="grow stack t">
            <p className="t">{en.links.verified}</p>
            <p>{en.links.verifiedText}</p>
          </div>
        </div>
      ) : token ? (
        <form className="card pad6 stack m" onSubmit={submit}>
          {problem && <ProblemNote error={problem} />}
          {problem?.code === 'link_invalid' ? (
            <Link to="/account" className="button l full">
              {en.links.toAccount}
            </Link>
          ) : (
            <Button type="submit" kind="primary" size="l" full working={working && en.common.working}>
              {en.links.mine}
            </Button>
          )}
        </form>
      ) : (
        <div className="note warn" role="alert">
          <Icon of={TriangleAlert} />
          <div className="grow stack t">
            <p className="t">{en.links.cut}</p>
            <p>{en.links.cutText}</p>
          </div>
        </div>
      )}
    </Gate>
  )
}
