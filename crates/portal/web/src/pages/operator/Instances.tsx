/** Everybody's servers, found by what people know of them. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Server } from 'lucide-react'
import { allInstances } from '../../api/queries'
import { stateOf } from '../../model/state'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { ListTable } from '../../ui/ListTable'
import { Ago, Empty, StatePill } from '../../ui/parts'
import { SearchField, useSearchText } from './SearchField'

export function Instances() {
  useTitle(en.operator.instances)
  const [text, type] = useSearchText('/op/instances')
  const list = useQuery(allInstances(text))
  return (
    <>
      <h1>{en.operator.instances}</h1>
      <SearchField label={en.operator.searchInstances} text={text} onChange={type} />
      <ListTable
        list={list}
        empty={<Empty icon={Server} title={en.operator.noneFound} />}
        headings={[en.operator.instance, en.operator.customer, en.operator.node, en.operator.state, en.operator.heard]}
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <bdi className="strong">{it.name}</bdi>
                <code className="t-13 muted">{it.hostname}</code>
              </div>
            </td>
            <td>
              <Link to="/op/customers" search={{ query: it.customer_email }}>
                {it.customer_email}
              </Link>
            </td>
            <td>{it.node_name}</td>
            <td>
              <StatePill state={stateOf({ instance: it })} />
            </td>
            <td className="t-13 muted nowrap">{it.last_heard_at ? <Ago at={it.last_heard_at} /> : '–'}</td>
          </tr>
        )}
      </ListTable>
    </>
  )
}
