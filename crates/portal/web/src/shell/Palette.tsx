/** Goes anywhere by typing: servers, pages, invoices. */
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Activity, Banknote, CreditCard, HardDrive, Mail, Plus, ReceiptText, ScanSearch, Search, Server, User, type LucideIcon } from 'lucide-react'
import { useId, useState, type KeyboardEvent } from 'react'
import { billing } from '../api/billing'
import { instances } from '../api/queries'
import { en } from '../text/en'
import { Dialog } from '../ui/Dialog'
import { classes, Icon } from '../ui/parts'

type Target = { label: string; about?: string; icon: LucideIcon; href: string }

export function Palette({ operator, onClose }: { operator: boolean; onClose: () => void }) {
  const id = useId()
  const navigate = useNavigate()
  const servers = useQuery(instances)
  const bills = useQuery(billing)
  const [typed, type] = useState('')
  const [at, move] = useState(0)
  const targets: Target[] = [
    ...(servers.data ?? []).flatMap(({ id: server, name }) => [
      { label: name, icon: Server, href: `/servers/${server}` },
      { label: `${name}: ${en.server.tabs.console}`, icon: Server, href: `/servers/${server}/console` },
      { label: `${name}: ${en.server.tabs.files}`, icon: Server, href: `/servers/${server}/files` },
      { label: `${name}: ${en.server.tabs.backups}`, icon: Server, href: `/servers/${server}/backups` },
    ]),
    { label: en.nav.servers, icon: Server, href: '/' },
    { label: en.servers.newServer, icon: Plus, href: '/new' },
    { label: en.nav.billing, icon: CreditCard, href: '/billing' },
    { label: en.nav.account, icon: User, href: '/account' },
    ...(operator
      ? [
          { label: en.nav.operations, icon: Activity, href: '/op' },
          { label: en.nav.findings, icon: ScanSearch, href: '/op/findings' },
          { label: en.nav.nodes, icon: HardDrive, href: '/op/nodes' },
          { label: en.nav.payments, icon: Banknote, href: '/op/enforcement' },
          { label: en.nav.notifications, icon: Mail, href: '/op/notifications' },
        ]
      : []),
    ...(bills.data?.invoices ?? []).flatMap(({ id: invoice, number }) => (number ? [{ label: en.palette.invoice(number), icon: ReceiptText, href: `/billing#${invoice}` }] : [])),
  ]
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean)
  const found = targets.filter(({ label }) => words.every(word => label.toLowerCase().includes(word))).slice(0, 12)
  const go = (target: Target | undefined) => {
    if (!target) return
    onClose()
    void navigate({ href: target.href })
  }
  const keys = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (by && found.length > 0) {
      event.preventDefault()
      move((at + by + found.length) % found.length)
    } else if (event.key === 'Enter') {
      event.preventDefault()
      go(found[at])
    }
  }
  return (
    <Dialog title={en.palette.label} onClose={onClose} wide>
      <div className="row pin">
        <Icon of={Search} />
        <input
          className="input bare grow"
          role="combobox"
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={found[at] ? `${id}-${at}` : undefined}
          aria-label={en.palette.label}
          placeholder={en.palette.placeholder}
          value={typed}
          onChange={event => {
            type(event.target.value)
            move(0)
          }}
          onKeyDown={keys}
          autoFocus
        />
      </div>
      <ul id={id} role="listbox" aria-label={en.palette.label} className="palette-list">
        {found.map((target, index) => (
          <li
            key={target.href}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === at}
            className={classes(index === at && 'on')}
            onPointerMove={() => move(index)}
            onClick={() => go(target)}
          >
            <Icon of={target.icon} />
            {target.label}
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="muted">{en.palette.none}</p>}
    </Dialog>
  )
}
