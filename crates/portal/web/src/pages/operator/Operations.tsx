/** Everybody's operations: first those that need a person. */
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { CircleCheck } from 'lucide-react'
import type { Operation } from '../../api/client'
import { allOperations } from '../../api/queries'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { ListTable } from '../../ui/ListTable'
import { Ago, Empty } from '../../ui/parts'
import { OperationPill } from './OperationPill'

const STATES = ['stuck', 'running', 'queued', 'failed', 'succeeded'] as const satisfies Operation['state'][]

export function Operations() {
  useTitle(en.operator.operations)
  const { state = 'stuck' } = useSearch({ strict: false }) as { state?: (typeof STATES)[number] | 'all' }
  const navigate = useNavigate()
  const list = useQuery(allOperations(state === 'all' ? undefined : state))
  return (
    <>
      <h1>{en.operator.operations}</h1>
      <div className="segments scrolls" role="group" aria-label={en.servers.filter.label}>
        {[...STATES, 'all' as const].map(it => (
          <button key={it} type="button" aria-pressed={it === state} onClick={() => void navigate({ to: '/op', search: it === 'stuck' ? {} : { state: it } })}>
            {en.operator.states[it]}
          </button>
        ))}
      </div>
      <ListTable
        list={list}
        empty={
          state === 'stuck' ? (
            <Empty icon={CircleCheck} title={en.operator.stuckNone} text={en.operator.stuckNoneText} />
          ) : (
            <Empty icon={CircleCheck} title={en.operator.noneSo} />
          )
        }
        headings={[en.operator.operation, en.operator.step, en.operator.state, en.operator.asked]}
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <Link to="/op/operations/$id" params={{ id: it.id }} className="strong">
                  {en.operator.kind[it.kind]}
                </Link>
                <span className="t-13 muted">{it.failure?.message ?? it.step_detail ?? it.instance_id}</span>
              </div>
            </td>
            <td>
              <code className="t-13">{it.step ?? '–'}</code>
            </td>
            <td>
              <OperationPill state={it.state} />
            </td>
            <td className="t-13 muted nowrap">
              <Ago at={it.created_at} />
            </td>
          </tr>
        )}
      </ListTable>
    </>
  )
}
