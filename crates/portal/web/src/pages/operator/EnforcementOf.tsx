/** One customer's payments: what follows from what, and what an operator may say about it. Nothing here removes anything. */
import '../../style/billing.css'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { CalendarPlus, ChevronRight, Plus, RefreshCw, ShieldCheck, ShieldOff, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import { enforcementOf } from '../../api/billing'
import { api, unwrap, type EnforcementDetail, type Grant } from '../../api/client'
import { Problem } from '../../api/problem'
import { isExtended } from '../../model/billing'
import { dateOf, day, money } from '../../model/format'
import { useTitle } from '../../shell/title'
import { bill } from '../../text/en-billing'
import { Button, CopyButton, Icon, ProblemNote } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { StagePill } from '../billing/StageCard'
import { usePlanName } from '../billing/Subscription'
import { Evidence, History } from './EnforcementHistory'
import { Exempt, Extend, GrantServers, Reasoned, Revoke } from './EnforcementDialogs'

const words = bill.operator

type Asked = 'extend' | 'take-back' | 'exempt' | 'grant' | Grant

export function EnforcementOf() {
  useTitle(words.title)
  const { id } = useParams({ strict: false }) as { id: string }
  const queries = useQueryClient()
  const found = useQuery(enforcementOf(id))
  const [asked, ask] = useState<Asked | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [comparing, compare] = useState(false)
  if (found.isError && !found.data) return <ProblemNote error={found.error} onRetry={() => void found.refetch()} />
  const it = found.data
  if (!it) return null

  const close = () => ask(null)
  const done = (detail: EnforcementDetail) => {
    queries.setQueryData(enforcementOf(id).queryKey, detail)
    void queries.invalidateQueries({ queryKey: ['operator', 'enforcement'], exact: true })
    toast({ text: words.changed })
  }
  const sync = async () => {
    compare(true)
    setProblem(null)
    try {
      await unwrap(api.POST('/api/operator/billing/{id}/actions', { params: { path: { id } }, body: { action: 'sync' } }))
      toast({ text: words.comparing })
      await queries.invalidateQueries(enforcementOf(id))
    } catch (error) {
      setProblem(Problem.of(error))
    }
    compare(false)
  }
  const extended = isExtended(it.billing)
  return (
    <>
      <nav className="crumbs">
        <Link to="/op/enforcement">{words.title}</Link>
        <Icon of={ChevronRight} size="s" />
        <bdi>{it.email}</bdi>
      </nav>
      <div className="head mid">
        <div className="grow row wrap">
          <h1 className="truncate">
            <bdi>{it.email}</bdi>
          </h1>
          <StagePill stage={it.billing.stage} cause={it.billing.cause} />
          {it.billing.exempt && <span className="pill info">{words.exempt}</span>}
          {extended && it.billing.extended_until && <span className="pill info">{words.until(it.billing.extended_until)}</span>}
          {it.billing.disputed && <span className="pill warn">{words.disputed}</span>}
          {it.billing.test_mode && <span className="pill">{bill.testMode}</span>}
        </div>
        <Button icon={RefreshCw} working={comparing} onClick={() => void sync()}>
          {words.compare}
        </Button>
      </div>
      {problem && <ProblemNote error={problem} />}
      {it.trouble && (
        <div className="note warn">
          <Icon of={TriangleAlert} />
          <p className="t">{it.trouble}</p>
        </div>
      )}
      <div className="row wrap">
        <Button icon={CalendarPlus} onClick={() => ask('extend')}>
          {words.extend}
        </Button>
        {extended && <Button onClick={() => ask('take-back')}>{words.takeBack}</Button>}
        <Button icon={it.billing.exempt ? ShieldOff : ShieldCheck} onClick={() => ask('exempt')}>
          {it.billing.exempt ? words.endExemption : words.exemptIt}
        </Button>
      </div>
      <div className="half">
        <Facts of={it} />
        <Grants of={it} onAdd={() => ask('grant')} onRevoke={ask} />
      </div>
      <Evidence of={it.evidence} />
      <History of={it.history} />
      {asked === 'extend' && <Extend id={id} onDone={done} onClose={close} />}
      {asked === 'take-back' && (
        <Reasoned
          title={words.takeBack}
          text={words.takeBackText}
          verb={words.takeBack}
          onDone={async reason => done(await unwrap(api.POST('/api/operator/billing/{id}/extension', { params: { path: { id } }, body: { until: null, reason } })))}
          onClose={close}
        />
      )}
      {asked === 'exempt' && <Exempt id={id} exempt={!it.billing.exempt} onDone={done} onClose={close} />}
      {asked === 'grant' && <GrantServers id={id} onDone={done} onClose={close} />}
      {typeof asked === 'object' && asked && <Revoke id={id} grant={asked} onDone={done} onClose={close} />}
    </>
  )
}

function Facts({ of: { billing, customer_id, synced_at } }: { of: EnforcementDetail }) {
  const name = usePlanName()
  const { owed, next, subscription, since, blocked } = billing
  return (
    <section className="card" aria-label={words.facts}>
      <header>
        <h2>{words.facts}</h2>
      </header>
      <dl className="facts pad t-13">
        <dt>{words.why}</dt>
        <dd>{words.cause(billing.cause)}</dd>
        <dt>{words.since}</dt>
        <dd>{since ? dateOf(since, billing.now) : '–'}</dd>
        <dt>{words.next}</dt>
        <dd>{next ? words.nextAt(next.stage, next.at) : '–'}</dd>
        <dt>{words.owed}</dt>
        <dd className="num">{owed ? money(owed.amount_minor, owed.currency) : '–'}</dd>
        <dt>{words.blocked}</dt>
        <dd>{blocked.length > 0 ? <code>{blocked.join(', ')}</code> : words.nothing}</dd>
        <dt>{words.theirPage}</dt>
        <dd>{subscription ? `${bill.items(subscription.items, name)} (${subscription.status})` : '–'}</dd>
        <dt>{bill.servers}</dt>
        <dd>{bill.counted(billing.used.map(it => ({ ...it, plan: name(it.plan) }))) || '–'}</dd>
        <dt>{words.synced}</dt>
        <dd>{words.syncedAt(synced_at)}</dd>
        <dt>{words.theirTime}</dt>
        <dd>{day(billing.now)}</dd>
        <dt>{words.customer}</dt>
        <dd>
          <CopyButton text={customer_id} />
        </dd>
      </dl>
    </section>
  )
}

function Grants({ of: { billing }, onAdd, onRevoke }: { of: EnforcementDetail; onAdd: () => void; onRevoke: (grant: Grant) => void }) {
  const name = usePlanName()
  return (
    <section className="card" aria-label={words.grants}>
      <header>
        <h2 className="grow">{words.grants}</h2>
        <Button size="s" icon={Plus} onClick={onAdd}>
          {words.addGrant}
        </Button>
      </header>
      {billing.grants.length === 0 && <p className="pad muted">{words.noGrants}</p>}
      <ul className="feed">
        {billing.grants.map(it => {
          const what = bill.grant(it.quantity, it.plan === null ? null : name(it.plan), it.expires_at, billing.now)
          return (
            <li key={it.id}>
              <span className="grow">{what}</span>
              <Button kind="ghost" size="s" className="danger-text" aria-label={`${words.revoke}: ${what}`} onClick={() => onRevoke(it)}>
                {words.revoke}
              </Button>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
