/** A menu under a button: arrows move, Esc and a click elsewhere close it. */
import { useEffect, useRef, useState } from 'react'
import type { LucideIcon } from 'lucide-react'
import { Button, classes, Icon } from './parts'

export type Item = { label: string; icon?: LucideIcon; danger?: boolean; run: () => void }

export function Menu({ label, icon, items, button }: { label: string; icon: LucideIcon; items: Item[]; button?: { kind?: 'ghost'; size?: 's' } }) {
  const [open, setOpen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (!open) return
    const buttons = () => [...(box.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])]
    buttons()[0]?.focus()
    const outside = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as globalThis.Node)) setOpen(false)
    }
    const keys = (event: KeyboardEvent) => {
      const all = buttons()
      const at = all.indexOf(document.activeElement as HTMLElement)
      const move = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key]
      if (move !== undefined) {
        event.preventDefault()
        all[(move + all.length) % all.length]?.focus()
      } else if (event.key === 'Escape' || event.key === 'Tab') {
        setOpen(false)
        box.current?.querySelector('button')?.focus()
      }
    }
    document.addEventListener('pointerdown', outside)
    document.addEventListener('keydown', keys)
    return () => {
      document.removeEventListener('pointerdown', outside)
      document.removeEventListener('keydown', keys)
    }
  }, [open])
  return (
    <div className="menu-box" ref={box}>
      <Button {...button} icon={icon} aria-label={label} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)} />
      {open && (
        <div className="menu" role="menu" aria-label={label}>
          {items.map(({ label: name, icon: mark, danger, run }) => (
            <button
              key={name}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className={classes(danger && 'bad-t')}
              onClick={() => {
                setOpen(false)
                run()
              }}
            >
              {mark && <Icon of={mark} />}
              {name}
            </button>
          ))}
        </div>
      )}
    </div>
  )
}

