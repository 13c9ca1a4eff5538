/** Invoices: paid, downloaded, and as a table for a spreadsheet, which is made here. */
import { Ban, Check, Clock, Download, HelpCircle, Landmark, type LucideIcon } from 'lucide-react'
import type { Billing, Invoice } from '../../api/client'
import { csv, invoiceState, type InvoiceState } from '../../model/billing'
import { money } from '../../model/format'
import { en } from '../../text/en'
import { bill } from '../../text/en-billing'
import { Button, classes, Icon } from '../../ui/parts'

/** So many the API gives at most. */
const MOST = 24

export function Invoices({ of: { invoices } }: { of: Billing }) {
  return (
    <section className="card" aria-label={bill.invoices}>
      <header>
        <h2 className="grow">{bill.invoices}</h2>
        {invoices.length > 0 && (
          <Button kind="ghost" size="s" icon={Download} onClick={() => save(invoices)}>
            {bill.csv}
          </Button>
        )}
      </header>
      {invoices.length === 0 ? (
        <p className="pad muted">{bill.noInvoices}</p>
      ) : (
        <table className="table fold">
          <thead>
            <tr>
              <th>{bill.number}</th>
              <th>{bill.invoiceDate}</th>
              <th>{bill.amount}</th>
              <th>{bill.state}</th>
              <th>
                <span className="visually-hidden">{en.common.more}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {invoices.map(it => (
              <Row key={it.id} of={it} />
            ))}
          </tbody>
        </table>
      )}
      {invoices.length >= MOST && <footer className="t-13 faint">{bill.newest(MOST)}</footer>}
    </section>
  )
}

const looks: Record<InvoiceState, [string, LucideIcon]> = {
  paid: ['ok', Check],
  processing: ['info', Landmark],
  open: ['warn', Clock],
  written_off: ['warn', Clock],
  void: ['', Ban],
  unknown: ['', HelpCircle],
}

function Row({ of: it }: { of: Invoice }) {
  const state = invoiceState(it)
  const [tone, icon] = looks[state]
  const name = it.number ?? it.id
  const partly = it.remaining_minor > 0 && it.remaining_minor < it.total_minor
  return (
    <tr id={it.id}>
      <td className="mono">{name}</td>
      <td className="muted nowrap">{bill.dateOfInvoice(it.created_at)}</td>
      <td className="num nowrap">
        {money(it.total_minor, it.currency)}
        {partly && <span className="t-13 muted"> {bill.remaining(money(it.remaining_minor, it.currency))}</span>}
      </td>
      <td>
        <span className={classes('pill', tone)}>
          <Icon of={icon} />
          {bill.invoiceState(state)}
        </span>
      </td>
      <td className="acts">
        <div className="row">
          {it.pay_url && !it.processing && (
            <a href={it.pay_url} className="button primary s" aria-label={bill.payOf(name)}>
              {bill.pay}
            </a>
          )}
          {it.pdf_url && (
            <a href={it.pdf_url} className="button ghost s square" aria-label={bill.download(name)}>
              <Icon of={Download} />
            </a>
          )}
        </div>
      </td>
    </tr>
  )
}

function save(invoices: Invoice[]): void {
  const text = csv(bill.csvHead, invoices, it => bill.invoiceState(invoiceState(it)))
  const link = document.createElement('a')
  // The mark at its beginning tells spreadsheets that it is UTF-8.
  link.href = URL.createObjectURL(new Blob(['\ufeff', text], { type: 'text/csv' }))
  link.download = `${bill.file}.csv`
  link.click()
  URL.revokeObjectURL(link.href)
}
