/** What an operator says to the controller: look now, pause, go on, and what it may do, each with its reason. */
import { useQueryClient } from '@tanstack/react-query'
import { Eye, Pause, Play, Wrench, type LucideIcon } from 'lucide-react'
import { useState, type SubmitEvent } from 'react'
import { api, unwrap, type Controller } from '../../api/client'
import { Problem } from '../../api/problem'
import { controller as controllerQuery } from '../../api/queries'
import { en } from '../../text/en'
import { Dialog } from '../../ui/Dialog'
import { Button, ProblemNote, TextField } from '../../ui/parts'
import { toast } from '../../ui/toast'

type Word = 'observe' | 'level1' | 'pause' | 'unpause'

const say = (word: Word, reason: string) =>
  word === 'pause' || word === 'unpause'
    ? api.POST('/api/operator/controller/pause', { body: { paused: word === 'pause', reason } })
    : api.POST('/api/operator/controller/mode', { body: { mode: word, reason } })

export function ControllerControls({ controller }: { controller: Controller }) {
  const [asked, ask] = useState<Word | null>(null)
  const [looking, look] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const lookNow = async () => {
    look(true)
    setProblem(null)
    try {
      await unwrap(api.POST('/api/operator/controller/look'))
      toast({ text: en.findings.asked })
    } catch (error) {
      setProblem(Problem.of(error))
    }
    look(false)
  }
  const one = (word: Word, icon: LucideIcon) => (
    <Button icon={icon} onClick={() => ask(word)}>
      {en.findings.words[word].button}
    </Button>
  )
  return (
    <div className="stack m">
      <div className="row wrap">
        <Button icon={Eye} working={looking} onClick={() => void lookNow()}>
          {en.findings.lookNow}
        </Button>
        {controller.paused ? one('unpause', Play) : one('pause', Pause)}
        {controller.mode === 'level1' ? one('observe', Eye) : one('level1', Wrench)}
      </div>
      {problem && <ProblemNote error={problem} onRetry={() => void lookNow()} />}
      {asked && <Ask word={asked} onClose={() => ask(null)} />}
    </div>
  )
}

function Ask({ word, onClose }: { word: Word; onClose: () => void }) {
  const queries = useQueryClient()
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [working, work] = useState(false)
  const text = en.findings.words[word]
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    work(true)
    try {
      queries.setQueryData(controllerQuery.queryKey, await unwrap(say(word, reason)))
      void queries.invalidateQueries({ queryKey: ['operator', 'findings'] })
      toast({ text: text.done })
      onClose()
    } catch (error) {
      setProblem(Problem.of(error))
      work(false)
    }
  }
  return (
    <Dialog title={text.ask} onClose={onClose}>
      <p className="muted">{text.means}</p>
      <form className="stack m" onSubmit={submit}>
        <TextField label={en.findings.reason} hint={en.findings.reasonHint} value={reason} onChange={setReason} error={problem?.fields.get('reason') ?? problem?.message} maxLength={500} required autoFocus />
        <div className="row">
          <Button className="end" onClick={onClose}>
            {en.common.cancel}
          </Button>
          <Button type="submit" kind="primary" disabled={reason.trim().length < 3} working={working && en.common.working}>
            {text.button}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
