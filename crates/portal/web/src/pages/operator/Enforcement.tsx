/** Customers of whose payments there is something to see. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { CircleCheck, TriangleAlert } from 'lucide-react'
import { enforcement } from '../../api/billing'
import { dateOf, exact } from '../../model/format'
import { useTitle } from '../../shell/title'
import { bill } from '../../text/en-billing'
import { ListTable } from '../../ui/ListTable'
import { Empty, Icon } from '../../ui/parts'
import { StagePill } from '../billing/StageCard'

const words = bill.operator

export function Enforcement() {
  useTitle(words.title)
  const list = useQuery(enforcement)
  return (
    <>
      <div>
        <h1>{words.title}</h1>
        <p className="sub muted">{words.sub}</p>
      </div>
      <ListTable
        list={list}
        empty={<Empty icon={CircleCheck} title={words.none} text={words.noneText} />}
        headings={[words.customer, words.stage, words.since, words.next, words.trouble]}
      >
        {it => {
          const until = it.extended_until && new Date(it.extended_until) > new Date() ? it.extended_until : null
          return (
            <tr key={it.customer_id}>
              <td>
                <div className="stack t">
                  <Link to="/op/enforcement/$id" params={{ id: it.customer_id }} className="strong">
                    <bdi>{it.email}</bdi>
                  </Link>
                  <span className="t-13 muted">{words.cause(it.cause)}</span>
                </div>
              </td>
              <td>
                <div className="row wrap">
                  <StagePill stage={it.stage} cause={it.cause} />
                  {it.exempt && <span className="pill info">{words.exempt}</span>}
                  {until && <span className="pill info">{words.until(until)}</span>}
                  {it.disputed && <span className="pill warn">{words.disputed}</span>}
                </div>
              </td>
              <td className="t-13 muted nowrap">{it.since && <time title={exact(it.since)}>{dateOf(it.since)}</time>}</td>
              <td className="t-13 nowrap">{it.next_stage && it.next_at && words.nextAt(it.next_stage, it.next_at)}</td>
              <td className="t-13">
                {it.trouble && (
                  <span className="row top warn-t">
                    <Icon of={TriangleAlert} />
                    <span>{it.trouble}</span>
                  </span>
                )}
              </td>
            </tr>
          )
        }}
      </ListTable>
    </>
  )
}
