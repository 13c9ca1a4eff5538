/** The evidence for a stage as a person reads it, what happened, and all of it as it is kept. */
import type { EnforcementDetail, EnforcementEvent } from '../../api/client'
import { facts } from '../../model/evidence'
import { day, exact } from '../../model/format'
import { bill } from '../../text/en-billing'

const words = bill.operator

export function Evidence({ of }: { of: EnforcementDetail['evidence'] }) {
  return (
    <section className="card history" aria-label={words.evidence}>
      <header>
        <h2>{words.evidence}</h2>
      </header>
      <div className="pad stack m">
        <p className="t-13 muted">{Object.keys(of).length === 0 ? words.noEvidence : words.evidenceText}</p>
        <Said of={of} />
      </div>
    </section>
  )
}

export function History({ of }: { of: EnforcementEvent[] }) {
  return (
    <section className="card history" aria-label={words.history}>
      <header>
        <h2>{words.history}</h2>
      </header>
      {of.length === 0 ? (
        <p className="pad muted">{words.noHistory}</p>
      ) : (
        <table className="table fold">
          <thead>
            <tr>
              <th>{words.what}</th>
              <th>{words.when}</th>
              <th>{words.why}</th>
              <th>{words.who}</th>
            </tr>
          </thead>
          <tbody>
            {of.map(it => (
              <tr key={it.id}>
                <td>
                  <div className="stack t">
                    <span className="strong">{it.kind === 'stage' ? words.fromTo(it.from_stage, it.to_stage) : words.kind(it.kind)}</span>
                    {Object.keys(it.evidence).length > 0 && (
                      <details>
                        <summary className="t-13">{words.evidence}</summary>
                        <Said of={it.evidence} />
                      </details>
                    )}
                  </div>
                </td>
                <td className="t-13 muted nowrap">
                  <time dateTime={it.at} title={exact(it.at)}>
                    {day(it.at)}
                  </time>
                </td>
                <td className="t-13">
                  <bdi>{words.cause(it.cause)}</bdi>
                </td>
                <td className="t-13 muted">
                  <bdi>{it.actor}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

/** Each fact on a line, and all of it as JSON. */
function Said({ of }: { of: EnforcementEvent['evidence'] }) {
  const all = facts(of)
  if (all.length === 0) return null
  return (
    <div className="stack t-13">
      <dl className="said">
        {all.map(({ path, value }) => (
          <div key={path} className="row-of">
            <dt>{words.field(path)}</dt>
            <dd className="num">{value === true ? words.yes : value === false ? words.no : value}</dd>
          </div>
        ))}
      </dl>
      <details>
        <summary>{words.raw}</summary>
        <pre className="trace">{JSON.stringify(of, null, 2)}</pre>
      </details>
    </div>
  )
}
