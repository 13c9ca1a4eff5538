/** A folder as a table: one file or many, by mouse or keyboard. Long folders are drawn where one looks only. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { Archive, ChevronRight, Copy, Download, File as FileIcon, FilePlus, Folder as FolderIcon, FolderInput, FolderPlus, Globe, MoreHorizontal, PackageOpen, Pencil, Plus, Search, Trash2, Upload, X } from 'lucide-react'
import { useRef, useState, type KeyboardEvent } from 'react'
import { api, unwrap, type FileEntry, type Instance } from '../api/client'
import { folder as folderQuery, usage } from '../api/queries'
import type { components } from '../api/schema'
import { ago, bytes } from '../model/format'
import { en } from '../text/en'
import { Confirm, NameDialog } from '../ui/Dialog'
import { Menu, type Item } from '../ui/Menu'
import { Button, classes, Icon, ProblemNote } from '../ui/parts'
import { contentUrl, folderOf, movedTo, putContent, readable, succeeded, within } from './content'
import { ArchiveDialog, FetchDialog, TargetDialog } from './dialogs'
import { jobsOf } from './jobs'
import { SearchResults } from './SearchResults'
import type { Uploads } from './uploads'

/** From here on rows are drawn where one looks only. */
const VIRTUAL_FROM = 200
const ROW_PX = 41

const ARCHIVE = /\.(?:zip|jar|tar|tgz|tar\.gz|tar\.zst|tar\.xz|tar\.bz2)$/i

type Asked =
  | { what: 'folder' | 'file' | 'fetch' }
  | { what: 'rename'; of: FileEntry }
  | { what: 'delete' | 'move' | 'copy' | 'pack'; of: FileEntry[] }

type ListingProps = { instance: Instance; path: string; open: string | undefined; uploads: Uploads; readOnly: boolean }

export function Listing({ instance, path, open, uploads, readOnly }: ListingProps) {
  const list = useQuery(folderQuery(instance.id, path))
  const used = useQuery(usage(instance.id))
  const picker = useRef<HTMLInputElement>(null)
  const [asked, ask] = useState<Asked | null>(null)
  const [selected, select] = useState<ReadonlySet<string>>(new Set())
  const [query, find] = useState<string | null>(null)
  const items = list.data?.items.toSorted((a, b) => Number(b.kind === 'folder') - Number(a.kind === 'folder') || a.name.localeCompare(b.name)) ?? []
  const chosen = items.filter(it => selected.has(it.path))
  const pick = (file: File[]) => uploads.send(path, file.map(it => ({ name: it.name, file: it })))
  return (
    <div className="card list">
      <header className="wrap">
        <Crumbs instance={instance.id} path={path} />
        <span className="row">
          <Button size="s" kind="ghost" icon={query === null ? Search : X} aria-label={query === null ? en.files.search : en.common.close} onClick={() => find(query === null ? '' : null)} />
          {!readOnly && (
            <>
              <Menu
                label={en.files.new}
                icon={Plus}
                button={{ kind: 'ghost', size: 's' }}
                items={[
                  { label: en.files.newFolder, icon: FolderPlus, run: () => ask({ what: 'folder' }) },
                  { label: en.files.newFile, icon: FilePlus, run: () => ask({ what: 'file' }) },
                  { label: en.files.fetch, icon: Globe, run: () => ask({ what: 'fetch' }) },
                ]}
              />
              <Button size="s" icon={Upload} onClick={() => picker.current?.click()}>
                {en.files.upload}
              </Button>
              <input
                ref={picker}
                type="file"
                multiple
                hidden
                data-testid="upload"
                onChange={event => {
                  pick([...(event.target.files ?? [])])
                  event.target.value = ''
                }}
              />
            </>
          )}
        </span>
      </header>
      {query !== null && <SearchResults instance={instance.id} path={path} />}
      {chosen.length > 0 && !readOnly && (
        <div className="row wrap picked" role="toolbar" aria-label={en.files.selected(chosen.length)}>
          <span className="strong num">{en.files.selected(chosen.length)}</span>
          <span className="row wrap end">
            <Button size="s" icon={FolderInput} onClick={() => ask({ what: 'move', of: chosen })}>
              {en.files.move}
            </Button>
            <Button size="s" icon={Copy} onClick={() => ask({ what: 'copy', of: chosen })}>
              {en.files.copy}
            </Button>
            <Button size="s" icon={Archive} onClick={() => ask({ what: 'pack', of: chosen })}>
              {en.files.pack}
            </Button>
            <Button size="s" kind="danger" icon={Trash2} onClick={() => ask({ what: 'delete', of: chosen })}>
              {en.files.delete}
            </Button>
          </span>
        </div>
      )}
      {list.isError && (
        <div className="pad">
          <ProblemNote error={list.error} onRetry={() => void list.refetch()} />
        </div>
      )}
      {list.data && items.length === 0 && <p className="pad muted">{en.files.empty}</p>}
      {items.length > 0 && <Table {...{ instance, path, open, readOnly, items, selected, select, ask }} />}
      <footer className="t-13 faint">
        {list.data?.more && <p>{en.files.more}</p>}
        {used.data?.limit_bytes && en.files.used(bytes(used.data.used_bytes), bytes(used.data.limit_bytes))}
      </footer>
      {asked && <Ask instance={instance} path={path} open={open} asked={asked} onClose={() => ask(null)} onDone={() => select(new Set())} />}
    </div>
  )
}

function Crumbs({ instance, path }: { instance: string; path: string }) {
  const parts = path.split('/').filter(Boolean)
  const to = '/servers/$id/files' as const
  return (
    <nav className="crumbs grow" aria-label={en.files.title}>
      <Link to={to} params={{ id: instance }} search={{}}>
        {en.files.root}
      </Link>
      {parts.map((part, at) => (
        <span key={parts.slice(0, at + 1).join('/')} className="row">
          <Icon of={ChevronRight} size="s" />
          <Link to={to} params={{ id: instance }} search={{ path: parts.slice(0, at + 1).join('/') }}>
            <bdi>{readable(part)}</bdi>
          </Link>
        </span>
      ))}
    </nav>
  )
}

type TableProps = {
  instance: Instance
  path: string
  open: string | undefined
  readOnly: boolean
  items: FileEntry[]
  selected: ReadonlySet<string>
  select: (paths: ReadonlySet<string>) => void
  ask: (asked: Asked) => void
}

function Table({ instance, path, open, readOnly, items, selected, select, ask }: TableProps) {
  const body = useRef<HTMLTableSectionElement>(null)
  const long = items.length > VIRTUAL_FROM
  const rows = useWindowVirtualizer({ count: long ? items.length : 0, estimateSize: () => ROW_PX, overscan: 20, scrollMargin: body.current?.offsetTop ?? 0 })
  const drawn = rows.getVirtualItems()
  const shown = long ? drawn.map(row => items[row.index]).filter(it => it !== undefined) : items
  const above = long ? (drawn[0]?.start ?? 0) - rows.options.scrollMargin : 0
  const below = long ? rows.getTotalSize() - (drawn.at(-1)?.end ?? 0) + rows.options.scrollMargin : 0
  const toggle = (paths: string[], on: boolean) => {
    const next = new Set(selected)
    paths.forEach(it => (on ? next.add(it) : next.delete(it)))
    select(next)
  }
  const all = items.every(it => selected.has(it.path))
  /** Arrows go from name to name; F2, Delete and the space bar act on the one that one is on. */
  const keys = (event: KeyboardEvent, entry: FileEntry) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (move) {
      event.preventDefault()
      const links = [...(body.current?.querySelectorAll<HTMLElement>('a[data-name]') ?? [])]
      links[links.indexOf(event.currentTarget as HTMLElement) + move]?.focus()
    } else if (!readOnly && event.key === 'F2') ask({ what: 'rename', of: entry })
    else if (!readOnly && event.key === 'Delete') ask({ what: 'delete', of: selected.has(entry.path) ? items.filter(it => selected.has(it.path)) : [entry] })
    else if (!readOnly && event.key === ' ') {
      event.preventDefault()
      toggle([entry.path], !selected.has(entry.path))
    }
  }
  return (
    <table className="table c">
      <thead>
        <tr>
          {!readOnly && (
            <th className="tick">
              <input type="checkbox" aria-label={en.files.selectAll} checked={all} onChange={event => toggle(items.map(it => it.path), event.target.checked)} />
            </th>
          )}
          <th>{en.files.name}</th>
          <th className="r">{en.files.size}</th>
          <th className="wide-only">{en.files.changed}</th>
          <th>
            <span className="visually-hidden">{en.common.more}</span>
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        <Spacer height={above} />
        {shown.map(entry => {
          const isFolder = entry.kind === 'folder'
          const search = isFolder ? { path: entry.path } : { ...(path && { path }), file: entry.path }
          return (
            <tr key={entry.path} className={classes((entry.path === open || selected.has(entry.path)) && 'on')}>
              {!readOnly && (
                <td className="tick">
                  <input type="checkbox" aria-label={en.files.select(entry.name)} checked={selected.has(entry.path)} onChange={event => toggle([entry.path], event.target.checked)} />
                </td>
              )}
              <td>
                <Link to="/servers/$id/files" params={{ id: instance.id }} search={search} className="row" data-name={entry.name} onKeyDown={event => keys(event, entry)}>
                  <Icon of={isFolder ? FolderIcon : FileIcon} />
                  <span className="truncate">
                    <bdi>{entry.name}</bdi>
                  </span>
                </Link>
              </td>
              <td className="r num nowrap t-13 muted">{!isFolder && bytes(entry.size_bytes)}</td>
              <td className="t-13 muted nowrap wide-only">{ago(entry.modified_at)}</td>
              <td className="acts">
                <div className="row">
                  <RowMenu instance={instance} entry={entry} readOnly={readOnly} ask={ask} />
                </div>
              </td>
            </tr>
          )
        })}
        <Spacer height={below} />
      </tbody>
    </table>
  )
}

/** The room of the rows that are not drawn. */
const Spacer = ({ height }: { height: number }) => (height > 0 ? <tr aria-hidden="true" style={{ height }} /> : null)

function RowMenu({ instance, entry, readOnly, ask }: { instance: Instance; entry: FileEntry; readOnly: boolean; ask: (asked: Asked) => void }) {
  const jobs = jobsOf(instance.id)
  const download: Item[] = entry.kind === 'file' ? [{ label: en.files.download, icon: Download, run: () => location.assign(contentUrl(instance.id, entry.path)) }] : []
  const unpack: Item[] =
    entry.kind === 'file' && ARCHIVE.test(entry.name)
      ? [{ label: en.files.unpack, icon: PackageOpen, run: () => void jobs.run({ kind: 'extract', path: entry.path, to: folderOf(entry.path), replace: false }, en.files.unpacking(entry.name)) }]
      : []
  const change: Item[] = [
    { label: en.files.rename, icon: Pencil, run: () => ask({ what: 'rename', of: entry }) },
    { label: en.files.move, icon: FolderInput, run: () => ask({ what: 'move', of: [entry] }) },
    { label: en.files.copy, icon: Copy, run: () => ask({ what: 'copy', of: [entry] }) },
    { label: en.files.pack, icon: Archive, run: () => ask({ what: 'pack', of: [entry] }) },
    ...unpack,
    { label: en.files.delete, icon: Trash2, danger: true, run: () => ask({ what: 'delete', of: [entry] }) },
  ]
  const items = [...download, ...(readOnly ? [] : change)]
  if (items.length === 0) return null
  return <Menu label={`${en.common.more}: ${entry.name}`} icon={MoreHorizontal} button={{ kind: 'ghost', size: 's' }} items={items} />
}

type AskProps = { instance: Instance; path: string; open: string | undefined; asked: Asked; onClose: () => void; onDone: () => void }

/** Asks what is left to know, and does it. */
function Ask({ instance, path, open, asked, onClose, onDone }: AskProps) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const jobs = jobsOf(instance.id)
  const go = (search: { path?: string; file?: string }) => navigate({ to: '/servers/$id/files', params: { id: instance.id }, search })
  const change = async (body: Change) => {
    await changeFiles(instance.id, body)
    await Promise.all([queries.invalidateQueries({ queryKey: ['folder', instance.id] }), queries.invalidateQueries(usage(instance.id))])
    onDone()
  }
  switch (asked.what) {
    case 'folder':
      return <NameDialog title={en.files.newFolder} label={en.files.folderName} value="" verb={en.files.make} onDone={name => change({ action: 'make_folder', path: within(path, name) })} onClose={onClose} />
    case 'file':
      return (
        <NameDialog
          title={en.files.newFile}
          label={en.files.fileName}
          value=""
          verb={en.files.make}
          onDone={async name => {
            const target = within(path, name)
            // Not in the place of one that is there.
            await succeeded(await putContent(instance.id, target, '', { 'if-none-match': '*' }))
            await queries.invalidateQueries({ queryKey: ['folder', instance.id] })
            await go({ ...(path && { path }), file: target })
          }}
          onClose={onClose}
        />
      )
    case 'fetch':
      return <FetchDialog onDone={(url, name) => jobs.run({ kind: 'fetch', url, to: within(path, name) }, en.files.fetching(name))} onClose={onClose} />
    case 'rename':
      return <NameDialog title={en.files.rename} label={en.files.fileName} value={asked.of.name} verb={en.files.rename} onDone={name => change({ action: 'rename', from: asked.of.path, to: within(path, name) })} onClose={onClose} />
    case 'move':
      return (
        <TargetDialog
          instance={instance.id}
          from={path}
          title={en.files.moveAsk(asked.of.length)}
          verb={en.files.move}
          onDone={async folder => {
            for (const { path: from } of asked.of) await change({ action: 'rename', from, to: movedTo(folder, from) })
          }}
          onClose={onClose}
        />
      )
    case 'copy':
      return (
        <TargetDialog
          instance={instance.id}
          from={path}
          title={en.files.copyAsk(asked.of.length)}
          verb={en.files.copy}
          onDone={async folder => {
            for (const { path: from, name } of asked.of) await jobs.run({ kind: 'copy', from, to: movedTo(folder, from) }, en.files.copying(name))
            onDone()
          }}
          onClose={onClose}
        />
      )
    case 'pack':
      return (
        <ArchiveDialog
          name={asked.of.length === 1 ? (asked.of[0]?.name ?? '') : en.files.archive}
          onDone={async (name, format) => {
            await jobs.run({ kind: 'archive', paths: asked.of.map(it => it.path), to: within(path, name), format }, en.files.packing(name))
            onDone()
          }}
          onClose={onClose}
        />
      )
    case 'delete':
      return (
        <Confirm
          title={en.files.deleteAsk(asked.of.length)}
          text={
            <>
              {asked.of.length === 1 && <code>{readable(asked.of[0]?.path ?? '')} </code>}
              {en.files.deleteText}
            </>
          }
          verb={en.files.delete}
          onConfirm={async () => {
            await change({ action: 'delete', paths: asked.of.map(it => it.path) })
            if (asked.of.some(it => it.path === open)) await go({ ...(path && { path }) })
          }}
          onClose={onClose}
        />
      )
  }
}

type Change = components['schemas']['Change']

const changeFiles = (id: string, body: Change) => unwrap(api.POST('/api/instances/{id}/files/changes', { params: { path: { id } }, body }))
