import { useNavigate, useSearch } from '@tanstack/react-router'
import { Search } from 'lucide-react'
import { en } from '../../text/en'
import { Icon } from '../../ui/parts'

/** What is looked for; it is in the address, so that a search can be passed on. */
export function useSearchText(to: '/op/instances' | '/op/customers'): [string, (text: string) => void] {
  const { query = '' } = useSearch({ strict: false }) as { query?: string }
  const navigate = useNavigate()
  return [query, text => void navigate({ to, search: text ? { query: text } : {}, replace: true })]
}

export function SearchField({ label, text, onChange }: { label: string; text: string; onChange: (text: string) => void }) {
  return (
    <div className="row search-row" role="search">
      <Icon of={Search} />
      <input className="input grow" type="search" value={text} aria-label={label} placeholder={label} title={en.operator.searchHint} spellCheck={false} onChange={event => onChange(event.target.value)} />
    </div>
  )
}
