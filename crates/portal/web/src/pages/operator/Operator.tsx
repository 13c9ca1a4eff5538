/** Around the pages of operators. */
import { useSuspenseQuery } from '@tanstack/react-query'
import { Outlet } from '@tanstack/react-router'
import { ShieldX } from 'lucide-react'
import { me } from '../../api/queries'
import { en } from '../../text/en'
import { Empty } from '../../ui/parts'

export function Operator() {
  const { data: viewer } = useSuspenseQuery(me)
  return (
    <main className="main">
      {viewer.role === 'operator' ? <Outlet /> : <Empty icon={ShieldX} title={en.operator.onlyOperators} text={en.operator.onlyOperatorsText} />}
    </main>
  )
}
