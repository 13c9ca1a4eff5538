/** A server's files: folders as a table, uploads in a tray, text in an editor. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { ChevronRight, Download, File as FileIcon, FilePlus, Folder as FolderIcon, FolderPlus, MoreHorizontal, Pencil, Trash2, Upload, X } from 'lucide-react'
import { lazy, Suspense, useRef, useState, type DragEvent } from 'react'
import { api, unwrap, type FileEntry, type Instance } from '../../api/client'
import { folder as folderQuery, usage } from '../../api/queries'
import { contentUrl, putContent, succeeded } from '../../files/content'
import { dropped, uploadsOf, useUploads, type Uploads } from '../../files/uploads'
import { ago, bytes, percent } from '../../model/format'
import { en } from '../../text/en'
import { Confirm, NameDialog } from '../../ui/Dialog'
import { Menu } from '../../ui/Menu'
import { Button, classes, Icon, ProblemNote } from '../../ui/parts'
import { useInstance } from './context'

const Editor = lazy(async () => ({ default: (await import('../../files/Editor')).Editor }))

const join = (folder: string, name: string) => (folder ? `${folder}/${name}` : name)

export function Files() {
  const instance = useInstance()
  const { path = '', file } = useSearch({ strict: false }) as { path?: string; file?: string }
  const [over, setOver] = useState(false)
  const uploads = uploadsOf(instance.id)
  const readOnly = instance.holds.length > 0
  const drop = async (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    if (!readOnly) uploads.add(path, await dropped(event.dataTransfer))
  }
  return (
    <section
      className={classes('stack m', over && 'dropping')}
      aria-label={en.files.title}
      onDragOver={event => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={event => event.currentTarget === event.target && setOver(false)}
      onDrop={event => void drop(event)}
    >
      {over && !readOnly && <p className="note info">{en.files.drop}</p>}
      <div className={classes(file !== undefined && 'filesgrid')}>
        <Listing instance={instance} path={path} open={file} uploads={uploads} readOnly={readOnly} />
        {file !== undefined && (
          <Suspense fallback={<div className="card editor" />}>
            <Editor key={file} instance={instance} path={file} folder={path} readOnly={readOnly} />
          </Suspense>
        )}
      </div>
      <Tray uploads={uploads} />
    </section>
  )
}

type ListingProps = { instance: Instance; path: string; open: string | undefined; uploads: Uploads; readOnly: boolean }

function Listing({ instance, path, open, uploads, readOnly }: ListingProps) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const list = useQuery(folderQuery(instance.id, path))
  const used = useQuery(usage(instance.id))
  const picker = useRef<HTMLInputElement>(null)
  const [naming, name] = useState<{ what: 'folder' | 'file' | 'rename'; of?: FileEntry } | null>(null)
  const [deleting, remove] = useState<FileEntry | null>(null)
  const params = { path: { id: instance.id } }
  const refresh = () => Promise.all([queries.invalidateQueries({ queryKey: ['folder', instance.id] }), queries.invalidateQueries(usage(instance.id))])
  const parts = path.split('/').filter(Boolean)
  const items = list.data?.items.toSorted((a, b) => Number(b.kind === 'folder') - Number(a.kind === 'folder') || a.name.localeCompare(b.name))
  const to = '/servers/$id/files' as const
  const go = (search: { path?: string; file?: string }) => navigate({ to, params: { id: instance.id }, search })
  return (
    <div className="card list">
      <header className="wrap">
        <nav className="crumbs grow">
          <Link to={to} params={{ id: instance.id }} search={{}}>
            {en.files.root}
          </Link>
          {parts.map((part, at) => (
            <span key={parts.slice(0, at + 1).join('/')} className="row">
              <Icon of={ChevronRight} size="s" />
              <Link to={to} params={{ id: instance.id }} search={{ path: parts.slice(0, at + 1).join('/') }}>
                {part}
              </Link>
            </span>
          ))}
        </nav>
        {!readOnly && (
          <span className="row">
            <Button size="s" kind="ghost" icon={FolderPlus} aria-label={en.files.newFolder} onClick={() => name({ what: 'folder' })} />
            <Button size="s" kind="ghost" icon={FilePlus} aria-label={en.files.newFile} onClick={() => name({ what: 'file' })} />
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
                uploads.add(path, [...(event.target.files ?? [])].map(file => ({ name: file.name, file })))
                event.target.value = ''
              }}
            />
          </span>
        )}
      </header>
      {list.isError && (
        <div className="pad">
          <ProblemNote error={list.error} onRetry={() => void list.refetch()} />
        </div>
      )}
      {items?.length === 0 && <p className="pad muted">{en.files.empty}</p>}
      {items && items.length > 0 && (
        <table className="table c">
          <thead>
            <tr>
              <th>{en.files.name}</th>
              <th className="r">{en.files.size}</th>
              <th className="wide-only">{en.files.changed}</th>
              <th>
                <span className="visually-hidden">{en.common.more}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map(entry => {
              const isFolder = entry.kind === 'folder'
              const search = isFolder ? { path: entry.path } : { ...(path && { path }), file: entry.path }
              return (
                <tr key={entry.path} className={classes(entry.path === open && 'on')}>
                  <td>
                    <Link to={to} params={{ id: instance.id }} search={search} className="row">
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
                      <Menu
                        label={`${en.common.more}: ${entry.name}`}
                        icon={MoreHorizontal}
                        button={{ kind: 'ghost', size: 's' }}
                        items={[
                          ...(isFolder ? [] : [{ label: en.files.download, icon: Download, run: () => location.assign(contentUrl(instance.id, entry.path)) }]),
                          ...(readOnly
                            ? []
                            : [
                                { label: en.files.rename, icon: Pencil, run: () => name({ what: 'rename', of: entry }) },
                                { label: en.files.delete, icon: Trash2, danger: true, run: () => remove(entry) },
                              ]),
                        ]}
                      />
                    </div>
                  </td>
                </tr>
              )
            })}
          </tbody>
        </table>
      )}
      <footer className="t-13 faint">
        {list.data?.more && <p>{en.files.more}</p>}
        {used.data?.limit_bytes && en.files.used(bytes(used.data.used_bytes), bytes(used.data.limit_bytes))}
      </footer>
      {naming && (
        <NameDialog
          title={naming.what === 'folder' ? en.files.newFolder : naming.what === 'file' ? en.files.newFile : en.files.rename}
          label={naming.what === 'folder' ? en.files.folderName : en.files.fileName}
          value={naming.of?.name ?? ''}
          verb={naming.of ? en.files.rename : en.files.make}
          onClose={() => name(null)}
          onDone={async typed => {
            const target = join(path, typed)
            if (naming.what === 'file') {
              // Not in the place of one that is there.
              await succeeded(await putContent(instance.id, target, '', { 'if-none-match': '*' }))
            } else {
              const body = naming.of ? { action: 'rename' as const, from: naming.of.path, to: target } : { action: 'make_folder' as const, path: target }
              await unwrap(api.POST('/api/instances/{id}/files/changes', { params, body }))
            }
            await refresh()
            if (naming.what === 'file') await go({ ...(path && { path }), file: target })
          }}
        />
      )}
      {deleting && (
        <Confirm
          title={en.files.deleteAsk(1)}
          text={
            <>
              <code>{deleting.path}</code> {en.files.deleteText}
            </>
          }
          verb={en.files.delete}
          onConfirm={async () => {
            await unwrap(api.POST('/api/instances/{id}/files/changes', { params, body: { action: 'delete', paths: [deleting.path] } }))
            await refresh()
            if (open === deleting.path) await go({ ...(path && { path }) })
          }}
          onClose={() => remove(null)}
        />
      )}
    </div>
  )
}

/** What is being uploaded: stays while one moves about in the folders. */
function Tray({ uploads }: { uploads: Uploads }) {
  const items = useUploads(uploads)
  if (items.length === 0) return null
  return (
    <div className="card tray" role="region" aria-label={en.files.uploading}>
      <header>
        <h2>{en.files.uploading}</h2>
        <Button className="end" kind="ghost" size="s" icon={X} aria-label={en.common.close} onClick={() => uploads.clear()} />
      </header>
      <ul className="uploads">
        {items.map(item => (
          <li key={item.id} className="row">
            <span className="grow truncate">
              <bdi>{item.path}</bdi>
            </span>
            {item.state === 'sending' && (
              <>
                <progress max={item.file.size || 1} value={item.sent} aria-label={item.path} />
                <span className="t-13 num">{percent((item.sent / (item.file.size || 1)) * 100)}</span>
                <Button kind="ghost" size="s" icon={X} aria-label={en.common.cancel} onClick={() => uploads.cancel(item.id)} />
              </>
            )}
            {item.state === 'waiting' && <span className="t-13 muted">{bytes(item.file.size)}</span>}
            {item.state === 'done' && <span className="t-13 ok-t">{en.files.uploaded}</span>}
            {item.state === 'cancelled' && <span className="t-13 muted">{en.files.cancelled}</span>}
            {item.state === 'failed' && (
              <>
                <span className="t-13 bad-t">{item.reason}</span>
                <Button size="s" onClick={() => uploads.retry(item.id)}>
                  {en.problem.again}
                </Button>
              </>
            )}
          </li>
        ))}
      </ul>
    </div>
  )
}

