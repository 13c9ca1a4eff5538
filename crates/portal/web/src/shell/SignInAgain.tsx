/** Over the page when its session has ended: the page and what was typed stay, and go on once the password was given. */
import { useState, type SubmitEvent } from 'react'
import { useQueryClient } from '@tanstack/react-query'
import { api, unwrap } from '../api/client'
import { Problem } from '../api/problem'
import { me } from '../api/queries'
import { session } from '../api/session'
import { en } from '../text/en'
import { Dialog } from '../ui/Dialog'
import { Button, TextField } from '../ui/parts'

export function SignInAgain() {
  const queries = useQueryClient()
  const known = queries.getQueryData(me.queryKey)
  const [email, setEmail] = useState(known?.email ?? '')
  const [password, setPassword] = useState('')
  const [error, setError] = useState<Problem | null>(null)
  const [working, setWorking] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setWorking(true)
    try {
      const viewer = await unwrap(api.POST('/api/auth/login', { body: { email, password } }))
      // Somebody else's page must not stay.
      if (known && known.id !== viewer.id) location.assign('/')
      queries.setQueryData(me.queryKey, viewer)
      session.resumed()
    } catch (failure) {
      setError(Problem.of(failure))
      setWorking(false)
    }
  }
  return (
    <Dialog title={en.auth.again} onClose={() => location.assign('/login')}>
      <p className="muted">{en.auth.againText}</p>
      <form className="stack m" onSubmit={submit}>
        <TextField label={en.auth.email} type="email" autoComplete="username" value={email} onChange={setEmail} required />
        <TextField label={en.auth.password} type="password" autoComplete="current-password" value={password} onChange={setPassword} error={error?.message} required autoFocus />
        <Button type="submit" kind="primary" size="l" working={working && en.auth.signingIn}>
          {en.auth.signIn}
        </Button>
      </form>
    </Dialog>
  )
}
