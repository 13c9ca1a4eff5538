/** What differs between what should be and what is, with its evidence, and what was repaired. */
import { useQuery } from '@tanstack/react-query'
import { ScanSearch, Siren, TriangleAlert, Wrench } from 'lucide-react'
import { controller, findings, incidents, repairEvents } from '../../api/queries'
import type { Controller } from '../../api/client'
import { useTitle } from '../../shell/title'
import { en } from '../../text/en'
import { ListTable } from '../../ui/ListTable'
import { Ago, classes, Empty, Icon, ProblemNote } from '../../ui/parts'
import { ControllerControls } from './ControllerControls'

export function Findings() {
  useTitle(en.findings.title)
  const state = useQuery(controller)
  const open = useQuery(findings)
  const repaired = useQuery(repairEvents)
  return (
    <>
      <h1>{en.findings.title}</h1>
      {state.isError && <ProblemNote error={state.error} onRetry={() => void state.refetch()} />}
      {state.data && <Standing controller={state.data} />}
      <ListTable
        list={open}
        empty={<Empty icon={ScanSearch} title={en.findings.none} text={en.findings.noneText} />}
        headings={[en.findings.what, en.findings.is, en.findings.should, en.findings.next, en.findings.since]}
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <span className="strong">{en.findings.rule(it.rule)}</span>
                <code className="t-13 muted">{it.hostname ?? it.operation_id ?? it.rule}</code>
                <span className={classes('pill', it.level === 1 ? 'info' : 'warn')}>{en.findings.level(it.level)}</span>
              </div>
            </td>
            <td>
              <span className="narrow-only muted t-13">{`${en.findings.is} `}</span>
              <code className="t-13">{it.observed}</code>
            </td>
            <td>
              <span className="narrow-only muted t-13">{`${en.findings.should} `}</span>
              <code className="t-13">{it.desired}</code>
            </td>
            <td className="t-13">
              {it.reason ? en.findings.notNow(it.reason, it.proposal ?? null) : en.findings.action(it.action ?? null)}
              {it.last_repair && <p className="muted">{en.findings.lastRepair(it.last_repair.outcome, it.last_repair.reason)}</p>}
            </td>
            <td className="t-13 muted nowrap">
              <Ago at={it.opened_at} />
            </td>
          </tr>
        )}
      </ListTable>
      <Incidents />
      <h2>{en.findings.repairs}</h2>
      <ListTable
        list={repaired}
        empty={<Empty icon={Wrench} title={en.findings.noRepairs} />}
        headings={[en.findings.what, en.findings.before, en.findings.after, en.findings.why, en.findings.when]}
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <span className="strong">{en.findings.action(it.action)}</span>
                <code className="t-13 muted">{it.hostname ?? it.done_by}</code>
                <span className={classes('pill', TONES[it.outcome])}>{en.findings.outcome(it.outcome)}</span>
              </div>
            </td>
            <td>
              <span className="narrow-only muted t-13">{`${en.findings.before} `}</span>
              <code className="t-13">{it.before || '–'}</code>
            </td>
            <td>
              <span className="narrow-only muted t-13">{`${en.findings.after} `}</span>
              <code className="t-13">{it.after || '–'}</code>
            </td>
            <td className="t-13">{it.reason}</td>
            <td className="t-13 muted nowrap">
              <Ago at={it.at} />
            </td>
          </tr>
        )}
      </ListTable>
    </>
  )
}

/** Findings as operators are told of them. */
function Incidents() {
  const all = useQuery(incidents)
  return (
    <>
      <h2>{en.findings.incidents}</h2>
      <ListTable
        list={all}
        empty={<Empty icon={Siren} title={en.findings.noIncidents} />}
        headings={[en.findings.what, en.findings.count, en.findings.began, en.findings.end]}
      >
        {it => (
          <tr key={it.id}>
            <td>
              <div className="stack t">
                <span className="strong">{en.findings.kind(it.kind)}</span>
                <span className={classes('pill', it.ended_at ? 'ok' : 'warn')}>{it.ended_at ? en.findings.ended : en.findings.going}</span>
              </div>
            </td>
            <td className="t-13">{en.findings.open(it.open_count, it.finding_count)}</td>
            <td className="t-13 muted nowrap">
              <span className="narrow-only">{`${en.findings.began} `}</span>
              <Ago at={it.opened_at} />
            </td>
            <td className="t-13 muted nowrap">
              <span className="narrow-only">{`${en.findings.end} `}</span>
              {it.ended_at ? <Ago at={it.ended_at} /> : '–'}
            </td>
          </tr>
        )}
      </ListTable>
    </>
  )
}

const TONES: Record<string, string> = { repaired: 'ok', failed: 'bad', rejected: 'warn' }

/** What the controller may do, and what keeps it from doing so. */
function Standing({ controller: it }: { controller: Controller }) {
  const troubles = [
    it.term === 0 && en.findings.noLeader,
    it.paused && en.findings.paused,
    it.incomplete && en.findings.incomplete(it.incomplete),
    it.breaker && en.findings.breaker(it.breaker),
  ].filter(text => typeof text === 'string')
  return (
    <>
      <p className="sub">
        {en.findings.mode(it.mode)} {it.pass_at && <Ago at={it.pass_at} say={at => en.findings.pass(it.instance_count ?? 0, at)} />}
      </p>
      {it.changed_at && it.changed_by && (
        <p className="sub">
          <Ago at={it.changed_at} say={at => en.findings.changed(it.changed_by ?? '', it.change_reason ?? '', at)} />
        </p>
      )}
      <ControllerControls controller={it} />
      {troubles.map(text => (
        <div key={text} className="note warn">
          <Icon of={TriangleAlert} />
          <p className="t">{text}</p>
        </div>
      ))}
    </>
  )
}
