/** The console at full height. */
import { TerminalSquare } from 'lucide-react'
import { Console } from '../../console/Console'
import { useConsole } from '../../console/useConsole'
import { useBlocked } from '../../model/payment'
import { en } from '../../text/en'
import { Empty } from '../../ui/parts'
import { useInstance } from './context'

export function ConsoleTab() {
  const instance = useInstance()
  const unpaid = useBlocked('console')
  const there = instance.lifecycle === 'active' && instance.holds.length === 0 && !unpaid
  const driver = useConsole(instance.id, there)
  if (instance.lifecycle !== 'active') return <Empty icon={TerminalSquare} title={en.console.empty} text={en.servers.canClose} />
  return (
    <div className="full-console">
      <Console driver={driver} instance={instance.id} name={instance.hostname} />
    </div>
  )
}
