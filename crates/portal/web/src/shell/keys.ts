/** Keys that work on every page: `g` and a letter goes somewhere, `[` and `]` go along a server's tabs, `?` lists them. */
import { useNavigate } from '@tanstack/react-router'
import { useEffect } from 'react'

/** How long after `g` the letter may come. */
const CHORD_MS = 1_500

const isTyping = (target: EventTarget | null) => target instanceof HTMLElement && (target.matches('input, textarea, select') || target.isContentEditable || target.closest('dialog') !== null)

export function useKeys(act: { search: () => void; help: () => void }): void {
  const navigate = useNavigate()
  const { search, help } = act
  useEffect(() => {
    let chord = 0
    const places = { s: '/', n: '/new', b: '/billing', a: '/account', o: '/op' } as const
    const keys = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
        event.preventDefault()
        search()
        return
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
      const place = Date.now() - chord < CHORD_MS ? places[event.key as keyof typeof places] : undefined
      chord = event.key === 'g' ? Date.now() : 0
      if (place) void navigate({ to: place })
      else if (event.key === '/') {
        event.preventDefault()
        search()
      } else if (event.key === '?') help()
      else if (event.key === '[' || event.key === ']') tab(event.key === ']' ? 1 : -1)
    }
    document.addEventListener('keydown', keys)
    return () => document.removeEventListener('keydown', keys)
  }, [navigate, search, help])
}

/** The tab beside the one that one is on. */
function tab(by: number): void {
  const tabs = [...document.querySelectorAll<HTMLElement>('.tabs a')]
  const at = tabs.findIndex(it => it.getAttribute('aria-current') === 'page')
  if (at >= 0) tabs[(at + by + tabs.length) % tabs.length]?.click()
}
