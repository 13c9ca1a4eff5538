/** Backups: made, checked, locked, downloaded, restored. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Archive, CircleCheck, Download, History, Info, Lock, LockOpen, MoreHorizontal, Pencil, Shield, ShieldCheck, ShieldX, Trash2, X } from 'lucide-react'
import { useState } from 'react'
import { api, unwrap, type Backup, type Instance } from '../../api/client'
import { Problem } from '../../api/problem'
import { backups, operations, operationsOf, plans } from '../../api/queries'
import { onceKey } from '../../model/actions'
import { bytes, count } from '../../model/format'
import { useServerState } from '../../model/known'
import { useBlocked } from '../../model/payment'
import { isActive } from '../../model/state'
import { en } from '../../text/en'
import { Confirm, NameDialog } from '../../ui/Dialog'
import { ListTable } from '../../ui/ListTable'
import { Menu } from '../../ui/Menu'
import { Ago, Button, Checkbox, Empty, Icon, ProblemNote } from '../../ui/parts'
import { toast } from '../../ui/toast'
import { Unpaid, unpaidId } from '../../ui/Unpaid'
import { useInstance } from './context'

export function Backups() {
  const instance = useInstance()
  const list = useQuery(backups(instance.id))
  const offers = useQuery(plans)
  const { operation } = useServerState(instance)
  const [asking, ask] = useState<{ what: 'restore' | 'delete' | 'rename'; backup: Backup } | null>(null)
  const [first, backUpFirst] = useState(true)
  const { run, working, problem, path } = useBackupActions(instance)
  const limit = offers.data?.find(it => it.id === instance.plan)?.backup_limit
  const shown = list.data?.filter(it => it.state !== 'deleted') ?? []
  const kept = shown.filter(it => it.state === 'available').length
  const busy = isActive(operation)
  const unpaid = useBlocked('new_backups')
  const unpaidFiles = useBlocked('file_writes')
  const make = (
    <Button kind="primary" icon={Archive} disabled={busy || instance.lifecycle !== 'active' || unpaid} aria-describedby={unpaid ? unpaidId('new_backups') : undefined} working={working === 'make' && en.common.working} onClick={() => void run('make', () => unwrap(api.POST('/api/instances/{id}/backups', { params: { path: { id: instance.id }, header: { 'Idempotency-Key': onceKey() } }, body: {} })), en.backups.asked)}>
      {en.backups.now}
    </Button>
  )
  return (
    <section className="stack m" aria-label={en.backups.title}>
      <div className="head mid">
        <div className="grow">
          <h2>{en.backups.title}</h2>
          {limit !== undefined && <p className="t-13 muted">{en.backups.kept(kept, limit)}</p>}
        </div>
        {shown.length > 0 && make}
      </div>
      <Unpaid gate="new_backups" />
      <Unpaid gate="file_writes" />
      {problem && <ProblemNote error={problem} />}
      <ListTable
        list={list}
        items={list.data && shown}
        empty={
          <Empty icon={Archive} title={en.backups.none} text={en.backups.noneText}>
            {make}
          </Empty>
        }
        headings={[en.backups.name, en.backups.size, en.backups.files, en.backups.state]}
        acts
      >
        {backup => (
          <tr key={backup.id}>
            <td>
              <div className="stack t">
                <span className="strong">
                  <bdi>{backup.name}</bdi>
                </span>
                <span className="t-13 muted">
                  <Ago at={backup.created_at} say={at => en.backups.madeAt(at, backup.origin === 'schedule' ? en.backups.bySchedule : en.backups.byYou)} />
                </span>
                {backup.locked && (
                  <span className="row t-13 muted">
                    <Icon of={Lock} size="s" />
                    {en.backups.locked}
                  </span>
                )}
                {isActive(operation) && operation.backup_id === backup.id && (
                  <div className="prog stack">
                    <progress max={100} value={operation.progress_percent} aria-label={en.state.backup} />
                    <span className="t-12 muted">{operation.step_detail ?? (operation.step && en.steps[operation.step])}</span>
                    {operation.next_operation_id && <span className="t-12 muted">{en.backups.thenRestores}</span>}
                  </div>
                )}
              </div>
            </td>
            <td className="num nowrap">{backup.archive_bytes !== null && bytes(backup.archive_bytes)}</td>
            <td className="num">{backup.file_count !== null && count(backup.file_count)}</td>
            <td>
              <BackupState backup={backup} />
            </td>
            <td className="acts">
              <div className="row">
                {isActive(operation) && operation.backup_id === backup.id && (operation.kind === 'backup' || operation.kind === 'verify') && (
                  <Button size="s" icon={X} working={(operation.cancel_requested_at !== null || working === 'cancel') && en.backups.cancelling} onClick={() => void run('cancel', () => unwrap(api.POST('/api/operations/{id}/cancel', { params: { path: { id: operation.id } } })))}>
                    {en.common.cancel}
                  </Button>
                )}
                {backup.state === 'available' && (
                  <>
                    <Button size="s" icon={History} disabled={busy || unpaidFiles} aria-describedby={unpaidFiles ? unpaidId('file_writes') : undefined} onClick={() => ask({ what: 'restore', backup })}>
                      {en.backups.restore}
                    </Button>
                    <a className="button ghost s square" href={`/api/instances/${instance.id}/backups/${backup.id}/download`} aria-label={en.backups.download}>
                      <Icon of={Download} />
                    </a>
                    <Button
                      kind="ghost"
                      size="s"
                      icon={backup.locked ? Lock : LockOpen}
                      aria-label={backup.locked ? en.backups.unlock : en.backups.lock}
                      aria-pressed={backup.locked}
                      onClick={() => void run('lock', () => unwrap(api.PATCH('/api/instances/{id}/backups/{backup}', { params: { path: path(backup) }, body: { locked: !backup.locked } })))}
                    />
                  </>
                )}
                {(backup.state === 'available' || backup.state === 'failed') && (
                  <Menu
                    label={en.common.more}
                    icon={MoreHorizontal}
                    button={{ kind: 'ghost', size: 's' }}
                    items={[
                      { label: en.files.rename, icon: Pencil, run: () => ask({ what: 'rename', backup }) },
                      ...(backup.state === 'available' && !busy
                        ? [
                            {
                              label: en.backups.verify,
                              icon: CircleCheck,
                              run: () => void run('verify', () => unwrap(api.POST('/api/instances/{id}/backups/{backup}/verify', { params: { path: path(backup), header: { 'Idempotency-Key': onceKey() } } }))),
                            },
                          ]
                        : []),
                      { label: en.backups.delete, icon: Trash2, danger: true, run: () => ask({ what: 'delete', backup }) },
                    ]}
                  />
                )}
              </div>
            </td>
          </tr>
        )}
      </ListTable>
      <p className="row t-13 faint">
        <Icon of={Info} size="s" />
        {en.backups.foot}
      </p>
      {asking?.what === 'restore' && (
        <Confirm
          title={en.backups.restoreAsk(asking.backup.name)}
          steps={en.backups.restoreSteps}
          text={en.backups.restoreLost}
          name={instance.name}
          verb={en.backups.restore}
          onConfirm={() => run('restore', () => unwrap(api.POST('/api/instances/{id}/backups/{backup}/restore', { params: restoreParams(path(asking.backup), first && !unpaid) })), undefined, true)}
          onClose={() => ask(null)}
        >
          <Checkbox checked={first && !unpaid} disabled={unpaid} onChange={backUpFirst}>
            <span>{en.backups.first}</span>
            <span className="t-13 muted">{unpaid ? en.payment.blocked.new_backups : en.backups.firstHint}</span>
          </Checkbox>
        </Confirm>
      )}
      {asking?.what === 'rename' && (
        <NameDialog
          title={en.files.rename}
          label={en.backups.called}
          value={asking.backup.name}
          verb={en.files.rename}
          onDone={name => run('rename', () => unwrap(api.PATCH('/api/instances/{id}/backups/{backup}', { params: { path: path(asking.backup) }, body: { name } })), undefined, true)}
          onClose={() => ask(null)}
        />
      )}
      {asking?.what === 'delete' && (
        <Confirm
          title={en.backups.deleteAsk(asking.backup.name)}
          text={en.backups.deleteText}
          verb={en.backups.delete}
          onConfirm={() => run('delete', () => unwrap(api.DELETE('/api/instances/{id}/backups/{backup}', { params: { path: path(asking.backup) } })), undefined, true)}
          onClose={() => ask(null)}
        />
      )}
    </section>
  )
}

const restoreParams = (path: { id: string; backup: string }, backup_first: boolean) => ({ path, query: { backup_first }, header: { 'Idempotency-Key': onceKey() } })

function useBackupActions(instance: Instance) {
  const queries = useQueryClient()
  const [working, setWorking] = useState<string | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const run = async (what: string, act: () => Promise<unknown>, said?: string, rethrow = false) => {
    setWorking(what)
    setProblem(null)
    try {
      await act()
      if (said) toast({ text: said })
      await Promise.all([queries.invalidateQueries(backups(instance.id)), queries.invalidateQueries(operationsOf(instance.id)), queries.invalidateQueries(operations)])
    } catch (error) {
      if (rethrow) throw error
      setProblem(Problem.of(error))
    } finally {
      setWorking(null)
    }
  }
  const path = (backup: Backup) => ({ id: instance.id, backup: backup.id })
  return { run, working, problem, path }
}

function BackupState({ backup }: { backup: Backup }) {
  if (backup.state === 'running' || backup.state === 'deleting') {
    return (
      <span className="pill info">
        <span className="spin" />
        {backup.state === 'running' ? en.backups.running : en.backups.deleting}
      </span>
    )
  }
  if (backup.state === 'failed') {
    return (
      <span className="row t-13 bad-t">
        <Icon of={ShieldX} />
        {en.backups.failed}
      </span>
    )
  }
  if (backup.verify_failure) {
    return (
      <span className="row t-13 bad-t" title={backup.verify_failure.message}>
        <Icon of={ShieldX} />
        {en.backups.damaged}
      </span>
    )
  }
  return backup.verified_at ? (
    <span className="row t-13 ok-t">
      <Icon of={ShieldCheck} />
      <Ago at={backup.verified_at} say={en.backups.verified} />
    </span>
  ) : (
    <span className="row t-13 muted">
      <Icon of={Shield} />
      {en.backups.unverified}
    </span>
  )
}
