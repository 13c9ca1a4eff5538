/** Makes a server. The key under which it is made once is chosen when the page opens, and outlives a reload. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { CheckCircle2, ChevronRight } from 'lucide-react'
import { useDeferredValue, useState, type SubmitEvent } from 'react'
import { billing } from '../api/billing'
import { api, unwrap, type Billing, type Blueprint, type Plan } from '../api/client'
import { Problem } from '../api/problem'
import { blueprints, hostname, instance as instanceQuery, instances, operations, plans } from '../api/queries'
import { onceKey } from '../model/actions'
import { wayTo } from '../model/billing'
import { useTitle } from '../shell/title'
import { en } from '../text/en'
import { GameTile } from '../ui/GameTile'
import { Checkbox, classes, Field, Icon, ProblemNote, Skeleton, TextField } from '../ui/parts'
import { Unpaid } from '../ui/Unpaid'
import { PlanFacts } from './billing/PlanFacts'
import { usePay } from './billing/pay'
import { createDraft, type Form } from './createDraft'
import { CreateSummary, PaidNote } from './CreateSummary'
import type { Choices } from './retry'

const empty = (choices: Choices): Form => ({
  kind: 'game',
  blueprint: choices.blueprint ?? '',
  variant: choices.variant ?? '',
  version: choices.version ?? '',
  plan: choices.plan ?? '',
  name: choices.name ?? '',
  hostname: '',
  eula: false,
  key: onceKey(),
})

export function Create() {
  useTitle(en.create.title)
  const games = useQuery(blueprints)
  const offers = useQuery(plans)
  const bought = useQuery(billing)
  return (
    <main className="main">
      <nav className="crumbs">
        <Link to="/">{en.nav.servers}</Link>
        <Icon of={ChevronRight} size="s" />
        <span>{en.create.title}</span>
      </nav>
      <div className="head">
        <div className="grow">
          <h1>{en.create.title}</h1>
          <p className="sub">{en.create.sub}</p>
        </div>
      </div>
      <Unpaid gate="new_instances" />
      {games.data && offers.data && !bought.isPending ? (
        <CreateForm games={games.data} offers={offers.data} bought={bought.data} />
      ) : games.isError || offers.isError ? (
        <ProblemNote error={games.error ?? offers.error} onRetry={() => void (games.refetch(), offers.refetch())} />
      ) : (
        <Skeleton>
          <i className="w10" />
        </Skeleton>
      )}
    </main>
  )
}

/** Fills what is not chosen, or not possible, with the first that is. */
function complete(form: Form, games: Blueprint[], offers: Plan[], bought: Billing | undefined) {
  const chosen = games.find(it => it.id === form.blueprint)
  const kind = chosen?.kind ?? form.kind
  const blueprint = chosen ?? games.find(it => it.kind === kind)
  const variant = blueprint?.variants.find(it => it.id === form.variant) ?? blueprint?.variants.find(it => it.versions.length > 0) ?? blueprint?.variants[0]
  const version = variant?.versions.includes(form.version) ? form.version : variant?.versions[0]
  const fitting = offers.filter(it => it.kind === kind)
  const enough = (plan: Plan) => plan.resources.memory_mib >= (blueprint?.min_memory_mib ?? 0)
  // What was paid for a moment ago has its room, though there may be none for others.
  const isKept = (plan: Plan) => plan.id === form.paying && wayTo(bought, plan.id) === 'create'
  const fits = (plan: Plan) => enough(plan) && (plan.available || isKept(plan))
  const plan = fitting.find(it => it.id === form.plan && fits(it)) ?? fitting.find(fits)
  return { kind, blueprint, variant, version, plan, fitting, fits, enough }
}

function CreateForm({ games, offers, bought }: { games: Blueprint[]; offers: Plan[]; bought: Billing | undefined }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const choices = useSearch({ strict: false }) as Choices
  const [form, setForm] = useState<Form>(() => (choices.blueprint ? empty(choices) : (createDraft.read() ?? empty({}))))
  const [working, setWorking] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const { kind, blueprint, variant, version, plan, fitting, fits, enough } = complete(form, games, offers, bought)
  const way = wayTo(bought, plan?.id)
  const pay = usePay()
  // Paid, and heard of within seconds.
  useQuery({ ...billing, refetchInterval: 1_000, enabled: way === 'add' && form.paying === plan?.id && pay.working === null && pay.problem === null })

  const change = (some: Partial<Form>) => {
    // Other choices are another server: what was asked for with the old key stays what it was.
    const next = { ...form, ...some, ...(problem && { key: onceKey() }) }
    setForm(next)
    createDraft.write(next)
    setProblem(null)
  }

  const goAndPay = () => {
    if (!plan) return
    // All that was chosen is here again when somebody comes back.
    const paying = { ...form, plan: plan.id, paying: plan.id }
    createDraft.write(paying)
    // What a subscription takes in is paid without leaving the page.
    void pay.buy([{ plan: plan.id, quantity: 1 }]).then(done => done && setForm(paying))
  }

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (!blueprint || !variant || !version || !plan || working || way !== 'create') return
    setWorking(true)
    setProblem(null)
    try {
      const { instance, operation } = await unwrap(
        api.POST('/api/instances', {
          params: { header: { 'Idempotency-Key': form.key } },
          body: { name: form.name.trim(), ...(address && { hostname: address }), blueprint: blueprint.id, variant: variant.id, version, plan: plan.id, accept_eula: form.eula },
        }),
      )
      createDraft.clear()
      if (instance) {
        queries.setQueryData(instanceQuery(instance.id).queryKey, instance)
        queries.setQueryData(instances.queryKey, list => list && (list.some(it => it.id === instance.id) ? list : [instance, ...list]))
        queries.setQueryData(operations.queryKey, list => list && (list.some(it => it.id === operation.id) ? list : [operation, ...list]))
        await navigate({ to: '/servers/$id', params: { id: instance.id } })
      } else {
        await navigate({ to: '/' })
      }
    } catch (error) {
      setProblem(Problem.of(error))
      setWorking(false)
    }
  }

  const name = form.name.trim()
  const address = form.hostname.trim().toLowerCase()
  const free = useQuery(hostname(useDeferredValue(address)))
  const ready = Boolean(name && version && plan && free.data?.available !== false && (!blueprint?.eula || form.eula))
  return (
    <form className="two" onSubmit={submit}>
      <div className="stack l">
        {plan && form.paying === plan.id && way === 'create' && <PaidNote />}
        <section className="stack m">
          <div className="row wrap">
            <h2>{en.create.what}</h2>
            <div className="segments end" role="group" aria-label={en.create.what}>
              {(['game', 'dev'] as const).map(one => (
                <button key={one} type="button" aria-pressed={kind === one} onClick={() => change({ kind: one, blueprint: '', variant: '', version: '', plan: '' })}>
                  {one === 'game' ? en.create.games : en.create.workspaces}
                </button>
              ))}
            </div>
          </div>
          <div className="opts" role="radiogroup" aria-label={en.create.what}>
            {games
              .filter(it => it.kind === kind)
              .map(it => (
                <label key={it.id} className={classes('opt', it === blueprint && 'on')}>
                  <input type="radio" className="visually-hidden" name="blueprint" checked={it === blueprint} onChange={() => change({ blueprint: it.id, variant: '', version: '', plan: '' })} />
                  <GameTile blueprint={it.id} kind={it.kind} />
                  <span className="grow stack t">
                    <span className="strong">{it.name}</span>
                    <span className="t-13 muted">{it.summary}</span>
                  </span>
                  {it === blueprint && <Icon of={CheckCircle2} size="l" />}
                </label>
              ))}
          </div>
        </section>
        <div className="fields">
          <Field label={en.create.edition} error={problem?.fields.get('variant')}>
            {props => (
              <select {...props} className="input" value={variant?.id ?? ''} onChange={event => change({ variant: event.target.value, version: '' })}>
                {blueprint?.variants.map(it => (
                  <option key={it.id} value={it.id} disabled={it.versions.length === 0}>
                    {it.name}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field
            label={en.create.version}
            hint={blueprint && blueprint.min_memory_mib > 0 ? en.create.tooSmall(blueprint.min_memory_mib) : undefined}
            error={version ? problem?.fields.get('version') : en.create.noVersions}
          >
            {props => (
              <select {...props} className="input" value={version ?? ''} disabled={!version} onChange={event => change({ version: event.target.value })}>
                {variant?.versions.map((it, at) => (
                  <option key={it} value={it}>
                    {at === 0 ? en.create.newest(it) : it}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </div>
        <section className="stack m">
          <h2>{en.create.plan}</h2>
          <div className="plans" role="radiogroup" aria-label={en.create.plan}>
            {fitting.map(it => (
              <label key={it.id} className={classes('plan', it === plan && 'on', !fits(it) && 'no')}>
                <input type="radio" className="visually-hidden" name="plan" checked={it === plan} disabled={!fits(it)} onChange={() => change({ plan: it.id })} />
                <span className="row">
                  <span className="strong">{it.name}</span>
                  {it === plan && (
                    <span className="end row">
                      <Icon of={CheckCircle2} size="l" />
                    </span>
                  )}
                </span>
                <PlanFacts plan={it} />
                {!enough(it) && blueprint && <span className="t-12 warn-t">{en.create.tooSmall(blueprint.min_memory_mib)}</span>}
                {enough(it) && !fits(it) && <span className="t-12 warn-t">{en.create.noRoom}</span>}
              </label>
            ))}
          </div>
        </section>
        <TextField
          label={en.create.name}
          hint={en.create.nameHint}
          placeholder={en.create.namePlaceholder}
          value={form.name}
          maxLength={64}
          onChange={value => change({ name: value })}
          error={problem?.fields.get('name')}
          required
        />
        <TextField
          label={en.create.address}
          hint={free.data?.available ? en.create.addressFree(free.data.hostname) : en.create.addressHint}
          value={form.hostname}
          maxLength={40}
          autoCapitalize="none"
          spellCheck={false}
          onChange={value => change({ hostname: value })}
          error={problem?.fields.get('hostname') ?? (free.data?.available === false ? free.data.reason?.message : undefined)}
        />
        {blueprint?.eula && (
          <Checkbox checked={form.eula} onChange={eula => change({ eula })}>
            <span>
              {en.create.eula(blueprint.eula.name).before}
              <a href={blueprint.eula.url} target="_blank" rel="noreferrer">
                {en.create.eula(blueprint.eula.name).link}
              </a>
              {en.create.eula(blueprint.eula.name).after}
            </span>
            <span className="t-13 muted">{en.create.eulaHint}</span>
          </Checkbox>
        )}
      </div>
      <CreateSummary
        name={name}
        blueprint={blueprint}
        software={[blueprint?.name, variant && variant.name !== blueprint?.name && variant.name, version].filter(Boolean).join(' · ')}
        onPay={goAndPay}
        {...{ plan, way, pay, ready, working, problem }}
        billing={bought}
      />
    </form>
  )
}
