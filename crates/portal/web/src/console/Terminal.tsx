/** The face of a console that is a terminal: xterm draws what comes and sends what is typed. */
import { FitAddon } from '@xterm/addon-fit'
import { SearchAddon } from '@xterm/addon-search'
import { WebLinksAddon } from '@xterm/addon-web-links'
import { Terminal as Xterm } from '@xterm/xterm'
import { useEffect, useRef, useSyncExternalStore } from 'react'
import { en } from '../text/en'
import type { ConsoleDriver } from './driver'
import { installStyleElement } from './xterm-style'
import '@xterm/xterm/css/xterm.css'

/** Rows that can be scrolled back to. More is in the history. */
const SCROLLBACK = 10_000

export default function Terminal({ driver, query }: { driver: ConsoleDriver; query: string | null }) {
  const host = useRef<HTMLDivElement>(null)
  const terminal = useRef<{ xterm: Xterm; search: SearchAddon; written: number; anew: number } | null>(null)
  const { entries } = useSyncExternalStore(driver.subscribe, driver.get)

  useEffect(() => {
    const node = host.current
    if (!node) return
    installStyleElement()
    const colour = (name: string) => getComputedStyle(node).getPropertyValue(name).trim()
    const xterm = new Xterm({
      scrollback: SCROLLBACK,
      fontFamily: colour('--mono'),
      fontSize: 13,
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      screenReaderMode: true,
      theme: { background: '#00000000', foreground: getComputedStyle(node).color, cursor: getComputedStyle(node).color },
      allowTransparency: true,
    })
    const [fit, search] = [new FitAddon(), new SearchAddon()]
    xterm.loadAddon(fit)
    xterm.loadAddon(search)
    xterm.loadAddon(new WebLinksAddon((_, url) => window.open(url, '_blank', 'noopener,noreferrer')))
    xterm.open(node)
    xterm.onData(text => driver.send({ type: 'send', text }))
    xterm.onResize(({ cols, rows }) => driver.send({ type: 'resize', columns: cols, rows }))
    terminal.current = { xterm, search, written: 0, anew: 0 }
    const size = new ResizeObserver(() => fit.fit())
    size.observe(node)
    return () => {
      size.disconnect()
      xterm.dispose()
      terminal.current = null
    }
  }, [driver])

  useEffect(() => {
    const it = terminal.current
    if (!it) return
    const anew = entries.filter(({ kind }) => kind === 'anew').length
    if (anew > it.anew) {
      it.xterm.reset()
      it.written = 0
      it.anew = anew
    }
    const since = entries.findLastIndex(({ kind }) => kind === 'anew') + 1
    for (const entry of entries.slice(since)) {
      if (entry.kind === 'line' && entry.seq > it.written) {
        it.xterm.write(entry.text)
        it.written = entry.seq
      } else if (entry.kind === 'gap' && entry.to > it.written) {
        it.xterm.writeln(`\r\n\x1b[2m${en.console.gap(entry.from, entry.to)}\x1b[0m`)
        it.written = entry.to
      }
    }
  }, [entries])

  useEffect(() => {
    if (query) terminal.current?.search.findPrevious(query)
  }, [query])

  return <div ref={host} className="terminal" />
}
