/** The console: a list of lines that is as long as it likes, and one line to type. Output is never covered or cleared. */
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDownToLine, CornerDownLeft, Copy, Download, Search, X } from 'lucide-react'
import { lazy, Suspense, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore, type KeyboardEvent, type SubmitEvent } from 'react'
import { api, unwrap } from '../api/client'
import { clock } from '../model/format'
import { useBlocked } from '../model/payment'
import { en } from '../text/en'
import { Button, classes, Icon } from '../ui/parts'
import { toast, toastProblem } from '../ui/toast'
import { Unpaid } from '../ui/Unpaid'
import { pieces, plain } from './ansi'
import type { ConsoleDriver } from './driver'
import type { Entry, Phase } from './machine'

const Terminal = lazy(() => import('./Terminal'))

/** Commands that the arrows bring back. */
const REMEMBERED = 50

/** So long after a wheel, a finger or a key a scroll is taken to be theirs. */
const BY_HAND_MS = 1_000

const PROMPT = '›'

export function Console({ driver, instance, name }: { driver: ConsoleDriver; instance: string; name: string }) {
  const state = useSyncExternalStore(driver.subscribe, driver.get)
  const { phase, entries, pending } = state
  const scroller = useRef<HTMLDivElement>(null)
  const [follow, setFollow] = useState(true)
  const [seen, setSeen] = useState(entries.length)
  const [query, setQuery] = useState<string | null>(null)
  const [match, setMatch] = useState(0)
  const lines = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 20,
    overscan: 30,
    getItemKey: at => key(entries[at], at),
  })

  // Lines that turn out to be taller than was thought move the end as well.
  const total = lines.getTotalSize()
  useLayoutEffect(() => {
    const node = scroller.current
    if (!follow || !node) return
    setSeen(entries.length)
    node.scrollTop = node.scrollHeight
  }, [entries.length, follow, total])

  const matches = useMemo(() => {
    const wanted = query?.toLowerCase()
    if (!wanted) return []
    return entries.flatMap((entry, at) => (entry.kind === 'line' && plain(entry.text).toLowerCase().includes(wanted) ? [at] : []))
  }, [entries, query])
  const current = matches[matches.length - 1 - match]

  useEffect(() => {
    if (current === undefined) return
    setFollow(false)
    lines.scrollToIndex(current, { align: 'center' })
  }, [current, lines])

  // Output that comes faster than it is drawn leaves the end behind: only a hand pauses, and only upwards.
  const hand = useRef({ at: 0, top: 0 })
  const touched = () => {
    hand.current.at = Date.now()
  }
  const scrolled = () => {
    const node = scroller.current
    if (!node) return
    const up = node.scrollTop < hand.current.top && Date.now() - hand.current.at < BY_HAND_MS
    hand.current.top = node.scrollTop
    if (node.scrollHeight - node.scrollTop - node.clientHeight < 24) setFollow(true)
    else if (up) setFollow(false)
  }
  const text = () => entries.map(written).join('\n')
  const [downloading, setDownloading] = useState(false)
  const unpaid = useBlocked('console')
  const copy = async () => {
    await navigator.clipboard.writeText(text())
    toast({ text: en.common.copied(en.console.output) })
  }
  const download = async () => {
    setDownloading(true)
    try {
      save(await history(instance), `${name}.log`)
    } catch (error) {
      toastProblem(error)
    }
    setDownloading(false)
  }
  const unseen = entries.length - seen
  const isTerminal = state.mode === 'pty'
  return (
    <section className="card console" aria-label={en.server.tabs.console}>
      <header>
        <PhaseLine phase={phase} unpaid={unpaid} onRetry={() => driver.send({ type: 'retry' })} />
        <span className="end row">
          <Button kind="ghost" size="s" icon={Search} aria-label={en.console.search} aria-pressed={query !== null} onClick={() => setQuery(query === null ? '' : null)} />
          <Button kind="ghost" size="s" icon={Copy} aria-label={en.console.copy} onClick={() => void copy()} />
          <Button kind="ghost" size="s" icon={Download} aria-label={en.console.download} working={downloading} onClick={() => void download()} />
          <Button kind="ghost" size="s" icon={ArrowDownToLine} className={classes(follow && 'on')} aria-pressed={follow} onClick={() => setFollow(true)}>
            {!follow && unseen > 0 ? en.console.newLines(unseen) : en.console.follow}
          </Button>
        </span>
      </header>
      {query !== null && (
        <div className="row find-in">
          <input
            className="input bare grow"
            aria-label={en.console.searchIn}
            placeholder={en.console.searchIn}
            value={query}
            onChange={event => {
              setQuery(event.target.value)
              setMatch(0)
            }}
            onKeyDown={event => {
              if (event.key === 'Enter' && matches.length > 0) setMatch((match + (event.shiftKey ? matches.length - 1 : 1)) % matches.length)
              if (event.key === 'Escape') setQuery(null)
            }}
            autoFocus
          />
          <span className="t-12 faint num">{query && (matches.length > 0 ? en.console.found(match + 1, matches.length) : en.console.nothingFound)}</span>
          <Button kind="ghost" size="s" icon={X} aria-label={en.common.close} onClick={() => setQuery(null)} />
        </div>
      )}
      {unpaid && (
        <div className="refused">
          <Unpaid gate="console" />
        </div>
      )}
      {isTerminal ? (
        <Suspense fallback={<div className="terminal" />}>
          <Terminal driver={driver} query={query} />
        </Suspense>
      ) : (
        <div className="lines" ref={scroller} onScroll={scrolled} onWheel={touched} onTouchMove={touched} onKeyDown={touched} onPointerDown={touched} role="log" aria-label={en.console.output} aria-live="off" tabIndex={0}>
          {entries.length === 0 && phase.name === 'live' && <p className="none">{en.console.empty}</p>}
          <div className="all" style={{ height: total }}>
            {lines.getVirtualItems().map(item => (
              <div key={item.key} ref={lines.measureElement} data-index={item.index} className="at" style={{ transform: `translateY(${item.start}px)` }}>
                <Line entry={entries[item.index]} found={item.index === current} />
              </div>
            ))}
          </div>
        </div>
      )}
      {pending
        .filter(it => it.error !== null)
        .map(it => (
          <div key={it.id} className="row refused" role="alert">
            <span className="grow">
              <code>{it.text}</code> {en.console.notSent} {it.error}
            </span>
            <Button kind="ghost" size="s" icon={X} aria-label={en.common.dismiss} onClick={() => driver.send({ type: 'drop_pending', id: it.id })} />
          </div>
        ))}
      {!isTerminal && <Prompt live={phase.name === 'live'} onSend={typed => driver.send({ type: 'send', text: typed })} />}
    </section>
  )
}

/** Everything that is still kept, not only what is shown here. */
async function history(id: string): Promise<string[]> {
  const parts: string[] = []
  let since = 0
  for (;;) {
    const page = await unwrap(api.GET('/api/instances/{id}/console/history', { params: { path: { id }, query: { since } } }))
    parts.push(...page.entries.map(({ at, text }) => `${at} ${plain(text)}\n`))
    const last = page.entries.at(-1)
    if (!last || last.seq + 1 >= page.next) return parts
    since = last.seq
  }
}

function save(parts: string[], name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob(parts, { type: 'text/plain' }))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}

const key = (entry: Entry | undefined, at: number) => (entry?.kind === 'line' ? `${entry.seq}` : `${entry?.kind}${at}`)

function written(entry: Entry): string {
  if (entry.kind === 'line') return `${entry.at} ${plain(entry.text)}`
  return entry.kind === 'gap' ? `--- ${en.console.gap(entry.from, entry.to)}` : `--- ${en.console.anew}`
}

function Line({ entry, found }: { entry: Entry | undefined; found: boolean }) {
  if (!entry) return null
  if (entry.kind !== 'line') return <p className="gap">{entry.kind === 'gap' ? en.console.gap(entry.from, entry.to) : en.console.anew}</p>
  return (
    <p className={classes(found && 'found')} data-seq={entry.seq}>
      <time dateTime={entry.at}>{clock(entry.at)}</time>
      <span>
        {pieces(entry.text).map((piece, at) => (
          <span key={at} className={piece.className}>
            {piece.text}
          </span>
        ))}
      </span>
    </p>
  )
}

/** How it stands, in words, with the way on. Never silent: what tries says when. */
function PhaseLine({ phase, unpaid, onRetry }: { phase: Phase; unpaid: boolean; onRetry: () => void }) {
  const [left, setLeft] = useState(0)
  useEffect(() => {
    const end = Date.now() + (phase.name === 'reconnecting' ? phase.pauseMs : 0)
    const tick = () => setLeft(Math.max(0, Math.ceil((end - Date.now()) / 1000)))
    tick()
    const timer = setInterval(tick, 500)
    return () => clearInterval(timer)
  }, [phase])
  switch (phase.name) {
    case 'live':
      return (
        <span className="row t-13" role="status" data-phase="live">
          <span className="dot ok ring" />
          {en.console.live}
        </span>
      )
    case 'connecting':
      return (
        <span className="row t-13" role="status" data-phase="connecting">
          <span className="spin" />
          {en.console.connecting}
        </span>
      )
    case 'reconnecting':
      return (
        <span className="row t-13 wrap" role="status" data-phase="reconnecting">
          <span className="spin" />
          <span>{phase.reason === 'deadline' ? en.console.slow : (phase.reason ?? en.console.reconnecting(left))}</span>
          <Button size="s" onClick={onRetry}>
            {en.console.reconnect}
          </Button>
        </span>
      )
    default:
      return (
        <span className="row t-13 wrap" role="status" data-phase={phase.name}>
          <span className="dot" />
          <span>{phase.name === 'closed' && phase.reason ? phase.reason : en.console.closed}</span>
          {!unpaid && (
            <Button size="s" onClick={onRetry}>
              {phase.name === 'closed' ? en.console.reconnect : en.console.open}
            </Button>
          )}
        </span>
      )
  }
}

function Prompt({ live, onSend }: { live: boolean; onSend: (text: string) => void }) {
  const [typed, type] = useState('')
  const [past, remember] = useState<string[]>([])
  const [back, go] = useState(-1)
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    if (!live || typed === '') return
    onSend(typed)
    remember([typed, ...past.filter(it => it !== typed)].slice(0, REMEMBERED))
    type('')
    go(-1)
  }
  const keys = (event: KeyboardEvent) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key]
    if (!by || past.length === 0) return
    event.preventDefault()
    const at = Math.max(-1, Math.min(past.length - 1, back + by))
    go(at)
    type(past[at] ?? '')
  }
  return (
    <form className="prompt" onSubmit={submit}>
      <b aria-hidden="true">{PROMPT}</b>
      <input
        aria-label={en.console.input}
        placeholder={live ? en.console.placeholder : ''}
        value={typed}
        onChange={event => type(event.target.value)}
        onKeyDown={keys}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        enterKeyHint="send"
      />
      <button type="submit" className="button ghost s square" aria-label={en.console.send} disabled={!live}>
        <Icon of={CornerDownLeft} />
      </button>
    </form>
  )
}
