/** An open file. It is saved against the version that was read; what was not saved is kept on the device. */
import { json } from '@codemirror/lang-json'
import { yaml } from '@codemirror/lang-yaml'
import { javascript } from '@codemirror/lang-javascript'
import { python } from '@codemirror/lang-python'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { bracketMatching, defaultHighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search'
import { EditorState, type Extension } from '@codemirror/state'
import { EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { useBlocker, useNavigate } from '@tanstack/react-router'
import { Download, Save, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import type { Instance } from '../api/client'
import { Problem } from '../api/problem'
import { draft } from '../model/draft'
import { en } from '../text/en'
import { Dialog } from '../ui/Dialog'
import { Button, Done, Icon, ProblemNote } from '../ui/parts'
import { contentUrl, putContent, succeeded } from './content'

/** Beyond this an editor in a browser is no help. */
const MOST_BYTES = 2 * 1024 * 1024

type Loaded = { text: string; etag: string | null; crlf: boolean }
type Props = { instance: Instance; path: string; folder: string; readOnly: boolean }

async function load(id: string, path: string, signal?: AbortSignal): Promise<Loaded> {
  const response = await succeeded(await fetch(contentUrl(id, path), { ...(signal && { signal }) }))
  if (Number(response.headers.get('content-length')) > MOST_BYTES) {
    await response.body?.cancel()
    throw new Problem({ status: 0, code: 'too_big', detail: en.files.tooBig })
  }
  const bytes = await response.arrayBuffer()
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    if (text.includes('\0')) throw new TypeError()
    return { text, etag: response.headers.get('etag'), crlf: text.includes('\r\n') }
  } catch {
    throw new Problem({ status: 0, code: 'binary', detail: en.files.binary })
  }
}

function languageOf(path: string): Extension {
  switch (path.split('.').at(-1)) {
    case 'json':
      return json()
    case 'yml':
    case 'yaml':
      return yaml()
    case 'js':
    case 'mjs':
    case 'ts':
      return javascript({ typescript: path.endsWith('ts') })
    case 'py':
      return python()
    default:
      return []
  }
}

const look = EditorView.theme({
  '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--surface)', fontSize: '13px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '22px' },
  '.cm-gutters': { color: 'var(--text-3)', backgroundColor: 'var(--surface)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--hover)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'var(--accent-bg) !important' },
  '.cm-panels': { color: 'var(--text)', backgroundColor: 'var(--sunken)' },
})

export function Editor({ instance, path, folder, readOnly }: Props) {
  const navigate = useNavigate()
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const kept = useRef(draft<{ text: string; etag: string | null }>(`file.${instance.id}.${path}`, localStorage))
  const [loaded, setLoaded] = useState<Loaded | null>(null)
  /** What was read or saved last: what is typed is compared with it. */
  const base = useRef<Loaded>(null)
  const saveNow = useRef(() => {})
  const [changed, setChanged] = useState(false)
  const [restored, setRestored] = useState(false)
  const [state, setState] = useState<'idle' | 'saving' | 'saved'>('idle')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [conflict, setConflict] = useState<Loaded | null>(null)

  useEffect(() => {
    const gone = new AbortController()
    load(instance.id, path, gone.signal)
      .then(setLoaded)
      .catch((error: unknown) => !gone.signal.aborted && setProblem(Problem.of(error)))
    return () => gone.abort()
  }, [instance.id, path])

  useEffect(() => {
    const node = host.current
    if (!loaded || !node) return
    // In a shadow root the editor's styles are a sheet of its own, which the policy allows.
    base.current = loaded
    const shadow = node.shadowRoot ?? node.attachShadow({ mode: 'open' })
    const before = kept.current.read()
    const mine = before && before.text !== loaded.text ? before.text : null
    setRestored(mine !== null)
    setChanged(mine !== null)
    const editor = new EditorView({
      parent: shadow,
      root: shadow,
      state: EditorState.create({
        doc: mine ?? loaded.text,
        extensions: [
          lineNumbers(),
          history(),
          bracketMatching(),
          highlightActiveLine(),
          highlightSelectionMatches(),
          syntaxHighlighting(defaultHighlightStyle),
          languageOf(path),
          look,
          EditorView.contentAttributes.of({ 'aria-label': path }),
          EditorState.readOnly.of(readOnly),
          EditorState.lineSeparator.of(loaded.crlf ? '\r\n' : '\n'),
          keymap.of([{ key: 'Mod-s', run: () => (saveNow.current(), true), preventDefault: true }, indentWithTab, ...defaultKeymap, ...historyKeymap, ...searchKeymap]),
          EditorView.updateListener.of(update => {
            if (!update.docChanged) return
            const text = update.state.sliceDoc()
            const differs = text !== base.current?.text
            setChanged(differs)
            setState('idle')
            if (differs) kept.current.write({ text, etag: base.current?.etag ?? null })
            else kept.current.clear()
          }),
        ],
      }),
    })
    view.current = editor
    return () => editor.destroy()
  }, [loaded, path, readOnly])

  const save = async (etag: string | null) => {
    const editor = view.current
    const { current: before } = base
    if (!editor || !before || readOnly) return
    const text = editor.state.sliceDoc()
    setState('saving')
    setProblem(null)
    try {
      const response = await putContent(instance.id, path, text, etag ? { 'if-match': etag } : {})
      if (response.status === 412) {
        setConflict(await load(instance.id, path))
        setState('idle')
        return
      }
      await succeeded(response)
      kept.current.clear()
      // The editor stays as it is; only what it is compared with is new.
      base.current = { ...before, text, etag: response.headers.get('etag') }
      setConflict(null)
      setRestored(false)
      setChanged(false)
      setState('saved')
    } catch (error) {
      setProblem(Problem.of(error))
      setState('idle')
    }
  }
  useEffect(() => {
    saveNow.current = () => void save(base.current?.etag ?? null)
  })

  const blocker = useBlocker({ shouldBlockFn: () => changed, enableBeforeUnload: changed, withResolver: true })
  const close = () => void navigate({ to: '/servers/$id/files', params: { id: instance.id }, search: folder ? { path: folder } : {} })
  const drop = () => {
    kept.current.clear()
    setRestored(false)
    setLoaded(now => now && { ...now })
  }
  return (
    <div className="card editor">
      <header>
        <span className="grow mono truncate">
          <bdi>{path}</bdi>
        </span>
        {state === 'saved' && !changed ? <Done>{en.files.saved}</Done> : changed && <span className="t-13 warn-t">{en.files.unsaved}</span>}
        {!readOnly && loaded && (
          <Button size="s" kind="primary" icon={Save} disabled={!changed} working={state === 'saving' && en.files.saving} onClick={() => saveNow.current()}>
            {en.common.save}
          </Button>
        )}
        <a className="button ghost s square" href={contentUrl(instance.id, path)} download aria-label={en.files.download}>
          <Icon of={Download} />
        </a>
        <Button kind="ghost" size="s" icon={X} aria-label={en.files.closeEditor} onClick={close} />
      </header>
      {restored && (
        <div className="note info flat">
          <span className="grow">{en.files.draft}</span>
          <Button size="s" onClick={drop}>
            {en.files.dropDraft}
          </Button>
        </div>
      )}
      {conflict && (
        <div className="note warn flat" role="alert">
          <div className="grow stack t">
            <p className="t">{en.files.conflict}</p>
            <p>{en.files.conflictText}</p>
          </div>
          <Button
            size="s"
            onClick={() => {
              kept.current.clear()
              setLoaded(conflict)
              setConflict(null)
            }}
          >
            {en.files.takeTheirs}
          </Button>
          <Button size="s" onClick={() => void save(conflict.etag)}>
            {en.files.keepMine}
          </Button>
        </div>
      )}
      {problem && (
        <div className="pad">
          <ProblemNote error={problem} />
        </div>
      )}
      <div className="code-host" ref={host} />
      {blocker.status === 'blocked' && (
        <Dialog
          title={en.files.leave}
          onClose={blocker.reset}
          foot={
            <>
              <Button onClick={blocker.reset}>{en.files.stay}</Button>
              <Button kind="danger" onClick={blocker.proceed}>
                {en.files.leaveIt}
              </Button>
            </>
          }
        >
          <p className="muted">{en.files.leaveText}</p>
        </Dialog>
      )}
    </div>
  )
}
