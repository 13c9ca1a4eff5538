/** Accounts, and looking at one as its owner sees it. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Banknote, Eye, Users } from 'lucide-react'
import { useState } from 'react'
import { api, unwrap, type OperatorCustomer } from '../../api/client'
import { customers } from '../../api/queries'
import { beginViewing } from '../../api/viewing'
import { day } from '../../model/format'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { FormDialog } from '../../ui/Dialog'
import { ListTable } from '../../ui/ListTable'
import { Button, Empty, Icon, TextField } from '../../ui/parts'
import { SearchField, useSearchText } from './SearchField'

export function Customers() {
  useTitle(en.operator.customers)
  const [text, type] = useSearchText('/op/customers')
  const list = useQuery(customers(text))
  const [whom, look] = useState<OperatorCustomer | null>(null)
  return (
    <>
      <h1>{en.operator.customers}</h1>
      <SearchField label={en.operator.searchCustomers} text={text} onChange={type} />
      <ListTable
        list={list}
        empty={<Empty icon={Users} title={en.operator.noneFound} />}
        headings={[en.operator.customer, en.operator.instances, en.account.member]}
        acts
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <span className="row">
                  <bdi className="strong">{it.display_name}</bdi>
                  {it.role === 'operator' && <span className="tag">{en.operatorTag}</span>}
                  {it.disabled_at && <span className="pill bad">{en.operator.disabled}</span>}
                </span>
                <span className="t-13 muted">{it.email}</span>
              </div>
            </td>
            <td>
              <Link to="/op/instances" search={{ query: it.email }}>
                {en.common.of(String(it.instance_count), String(it.instance_limit))}
              </Link>
            </td>
            <td className="t-13 muted nowrap">{day(it.created_at)}</td>
            <td className="acts">
              <div className="row">
                <Link to="/op/enforcement/$id" params={{ id: it.id }} className="button ghost s square" aria-label={`${en.nav.payments}: ${it.display_name}`} title={en.nav.payments}>
                  <Icon of={Banknote} />
                </Link>
                <Button size="s" icon={Eye} aria-label={`${en.operator.seeAs}: ${it.display_name}`} onClick={() => look(it)}>
                  {en.operator.seeAs}
                </Button>
              </div>
            </td>
          </tr>
        )}
      </ListTable>
      {whom && <Reason whom={whom} onClose={() => look(null)} />}
    </>
  )
}

function Reason({ whom, onClose }: { whom: OperatorCustomer; onClose: () => void }) {
  const [reason, give] = useState('')
  const begin = async () => {
    await unwrap(api.POST('/api/operator/customers/{id}/view', { params: { path: { id: whom.id } }, body: { reason: reason.trim() } }))
    beginViewing({ id: whom.id, name: whom.display_name })
  }
  return (
    <FormDialog title={en.operator.seeAsAsk(whom.display_name)} verb={en.operator.seeAs} ready={reason.trim().length >= 3} onDone={begin} onClose={onClose}>
      <p className="muted">{en.operator.seeAsText}</p>
      <TextField label={en.operator.seeAsReason} hint={en.operator.reasonHint} value={reason} onChange={give} autoFocus required maxLength={500} />
    </FormDialog>
  )
}
