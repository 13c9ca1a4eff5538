/** Everybody's servers, found by what people know of them. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Ellipsis, Pause, Play, Server } from 'lucide-react'
import { useState } from 'react'
import { api, unwrap, type OperatorInstance } from '../../api/client'
import { Problem } from '../../api/problem'
import { allInstances } from '../../api/queries'
import { stateOf } from '../../model/state'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { FormDialog } from '../../ui/Dialog'
import { ListTable } from '../../ui/ListTable'
import { Menu } from '../../ui/Menu'
import { Ago, Empty, Field, StatePill, TextField } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { SearchField, useSearchText } from './SearchField'

export function Instances() {
  useTitle(en.operator.instances)
  const [text, type] = useSearchText('/op/instances')
  const list = useQuery(allInstances(text))
  const queries = useQueryClient()
  const [holding, hold] = useState<OperatorInstance | null>(null)
  const changed = () => void queries.invalidateQueries({ queryKey: ['operator', 'instances'] })
  const lift = async (it: OperatorInstance, reason: HoldReason) => {
    try {
      await unwrap(api.POST('/api/operator/instances/{id}/holds/lift', { params: { path: { id: it.id } }, body: { reason } }))
      toast({ text: en.operator.holdLifted })
    } catch (error) {
      toast({ text: Problem.of(error).message })
    }
    changed()
  }
  return (
    <>
      <h1>{en.operator.instances}</h1>
      <SearchField label={en.operator.searchInstances} text={text} onChange={type} />
      <ListTable
        list={list}
        empty={<Empty icon={Server} title={en.operator.noneFound} />}
        headings={[en.operator.instance, en.operator.customer, en.operator.node, en.operator.state, en.operator.heard, '']}
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
            <td>
              <Menu
                label={en.operator.more(it.name)}
                icon={Ellipsis}
                button={{ kind: 'ghost', size: 's' }}
                items={[
                  ...ours(it).map(reason => ({ label: en.operator.liftHold(reason), icon: Play, run: () => void lift(it, reason) })),
                  { label: en.operator.hold, icon: Pause, danger: true, run: () => hold(it) },
                ]}
              />
            </td>
          </tr>
        )}
      </ListTable>
      {holding && <Hold of={holding} onDone={changed} onClose={() => hold(null)} />}
    </>
  )
}

type HoldReason = 'operator' | 'abuse'

/** The holds that a person put there; those of payments follow from the payments. */
const ours = (it: OperatorInstance) => it.holds.map(hold => hold.reason.code).filter((code): code is HoldReason => code === 'operator' || code === 'abuse')

function Hold({ of, onDone, onClose }: { of: OperatorInstance; onDone: () => void; onClose: () => void }) {
  const [reason, choose] = useState<HoldReason>('operator')
  const [note, write] = useState('')
  const place = async () => {
    await unwrap(api.POST('/api/operator/instances/{id}/holds', { params: { path: { id: of.id } }, body: { reason, note: note.trim() } }))
    toast({ text: en.operator.held })
    onDone()
  }
  return (
    <FormDialog title={en.operator.holdAsk(of.name)} verb={en.operator.hold} ready={note.trim().length >= 3} onDone={place} onClose={onClose}>
      <p className="muted">{en.operator.holdText}</p>
      <Field label={en.operator.holdFor}>
        {props => (
          <select {...props} className="input" value={reason} onChange={event => choose(event.target.value as HoldReason)}>
            {(['operator', 'abuse'] as const).map(it => (
              <option key={it} value={it}>
                {en.operator.holdReasons[it]}
              </option>
            ))}
          </select>
        )}
      </Field>
      <TextField label={en.operator.holdNote} value={note} onChange={write} required maxLength={500} />
    </FormDialog>
  )
}
