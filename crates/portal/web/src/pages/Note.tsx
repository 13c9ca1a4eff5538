/** A notepad: one for the account, one for each server. It saves itself, and asks when two windows have written different things. */
import { useQuery, useQueryClient, queryOptions } from '@tanstack/react-query'
import { History } from 'lucide-react'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import { api, unwrap, type Note } from '../api/client'
import { Problem } from '../api/problem'
import { draft } from '../model/draft'
import { en } from '../text/en'
import { Dialog } from '../ui/Dialog'
import { Ago, Button, Empty, Field, Icon, ProblemNote, Skeleton } from '../ui/parts'

/** How long nothing is typed before it is saved. */
const PAUSE_MS = 1_000
const MOST_BYTES = 30_000

/** `null` is the account's. */
type Place = string | null

const path = (id: string) => ({ params: { path: { id } } })

const read = (place: Place) => unwrap(place === null ? api.GET('/api/note') : api.GET('/api/instances/{id}/note', path(place)))

const write = (place: Place, version: number, body: string) => {
  const header = { 'If-Match': `"${version}"` }
  return unwrap(
    place === null ? api.PUT('/api/note', { params: { header }, body: { body } }) : api.PUT('/api/instances/{id}/note', { params: { path: { id: place }, header }, body: { body } }),
  )
}

const note = (place: Place) => queryOptions({ queryKey: ['note', place ?? 'account'], queryFn: () => read(place), staleTime: 0 })

const versions = (place: Place) =>
  queryOptions({
    queryKey: ['note-versions', place ?? 'account'],
    queryFn: () => unwrap(place === null ? api.GET('/api/note/versions') : api.GET('/api/instances/{id}/note/versions', path(place))),
    staleTime: 0,
  })

export function NotePad({ place, title, hint }: { place: Place; title: string; hint: string }) {
  const found = useQuery(note(place))
  return (
    <section className="card" aria-label={title}>
      <header>
        <h2 className="grow">{title}</h2>
      </header>
      <div className="pad stack m">
        <p className="t-13 muted">{hint}</p>
        {found.data ? (
          <Pad key={place ?? 'account'} place={place} first={found.data} title={title} />
        ) : found.isError ? (
          <ProblemNote error={found.error} onRetry={() => void found.refetch()} />
        ) : (
          <Skeleton>
            <i className="w10" />
            <i className="w6" />
          </Skeleton>
        )}
      </div>
    </section>
  )
}

type State = 'saved' | 'typing' | 'saving' | 'conflict' | 'failed'

function Pad({ place, first, title }: { place: Place; first: Note; title: string }) {
  const queries = useQueryClient()
  // What was typed and not saved when the page was left is here again.
  const unsaved = draft<{ body: string; version: number }>(`note.${place ?? 'account'}`)
  const [begin] = useState(() => unsaved.read())
  const [body, setBody] = useState(begin?.body ?? first.body)
  const [state, setState] = useState<State>(begin && begin.body !== first.body ? 'typing' : 'saved')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [theirs, setTheirs] = useState<Note | null>(null)
  const [looking, look] = useState(false)
  const version = useRef(begin?.version ?? first.version)
  const tooLong = new TextEncoder().encode(body).length > MOST_BYTES

  const save = async (text: string) => {
    setState('saving')
    setProblem(null)
    try {
      const saved = await write(place, version.current, text)
      version.current = saved.version
      unsaved.clear()
      queries.setQueryData(note(place).queryKey, saved)
      setState(now => (now === 'saving' ? 'saved' : now))
    } catch (error) {
      const failure = Problem.of(error)
      if (failure.status === 412) {
        setTheirs(await read(place))
        setState('conflict')
      } else {
        setProblem(failure)
        setState('failed')
      }
    }
  }

  // Only what is typed begins the pause anew.
  const saveNow = useEffectEvent((text: string) => void save(text))
  useEffect(() => {
    if (state !== 'typing' || tooLong) return
    const timer = setTimeout(() => saveNow(body), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [body, state, tooLong])

  const type = (text: string) => {
    setBody(text)
    unsaved.write({ body: text, version: version.current })
    setState('typing')
  }
  const take = (text: string, over: number) => {
    version.current = over
    setTheirs(null)
    setBody(text)
    void save(text)
  }
  return (
    <>
      <Field label={en.note.label} error={tooLong ? en.note.tooLong : undefined}>
        {props => <textarea {...props} className="input" rows={12} value={body} placeholder={en.note.empty} onChange={event => type(event.target.value)} spellCheck />}
      </Field>
      {state === 'failed' && problem && <ProblemNote error={problem} onRetry={() => void save(body)} />}
      {state === 'conflict' && theirs && (
        <div className="note warn" role="alert">
          <div className="grow stack">
            <p className="t">{en.note.conflict}</p>
            <pre className="t-13">{theirs.body || en.note.emptyText}</pre>
            <div className="row wrap">
              <Button size="s" onClick={() => take(body, theirs.version)}>
                {en.note.keepMine}
              </Button>
              <Button size="s" onClick={() => take(theirs.body, theirs.version)}>
                {en.note.takeTheirs}
              </Button>
            </div>
          </div>
        </div>
      )}
      <div className="row">
        <span className="t-13 muted grow" role="status">
          {en.note.states[state]}
        </span>
        <Button size="s" onClick={() => look(true)}>
          <Icon of={History} size="s" />
          {en.note.earlier}
        </Button>
      </div>
      {looking && (
        <Earlier
          place={place}
          title={title}
          onTake={text => {
            type(text)
            look(false)
          }}
          onClose={() => look(false)}
        />
      )}
    </>
  )
}

function Earlier({ place, title, onTake, onClose }: { place: Place; title: string; onTake: (body: string) => void; onClose: () => void }) {
  const found = useQuery(versions(place))
  return (
    <Dialog title={en.note.earlierOf(title)} onClose={onClose} foot={<Button onClick={onClose}>{en.common.close}</Button>}>
      {found.isError && <ProblemNote error={found.error} onRetry={() => void found.refetch()} />}
      {found.data?.length === 0 && <Empty icon={History} title={en.note.noEarlier} />}
      <div className="stack m">
        {found.data?.map(it => (
          <div key={it.version} className="stack">
            <div className="row">
              <span className="t-13 muted grow">
                <Ago at={it.written_at} />
              </span>
              <Button size="s" onClick={() => onTake(it.body)}>
                {en.note.takeThis}
              </Button>
            </div>
            <pre className="t-13 truncate">{it.body.slice(0, 400) || en.note.emptyText}</pre>
          </div>
        ))}
      </div>
    </Dialog>
  )
}
