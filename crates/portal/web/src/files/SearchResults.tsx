/** Files whose names contain a text, below the folder that one is in. */
import { Link } from '@tanstack/react-router'
import { File as FileIcon, Folder } from 'lucide-react'
import { useState, type SubmitEvent } from 'react'
import type { FileEntry } from '../api/client'
import { en } from '../text/en'
import { Button, Icon, ProblemNote } from '../ui/parts'
import { folderOf, readable } from './content'
import { search } from './jobs'

export function SearchResults({ instance, path }: { instance: string; path: string }) {
  const [name, type] = useState('')
  const [working, work] = useState(false)
  const [result, show] = useState<{ found: FileEntry[]; truncated: boolean } | null>(null)
  const [error, fail] = useState<unknown>(null)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (!name.trim()) return
    work(true)
    fail(null)
    try {
      show(await search(instance, path, name.trim()))
    } catch (problem) {
      fail(problem)
    }
    work(false)
  }
  return (
    <div className="pad stack m" role="search">
      <form className="row" onSubmit={submit}>
        <input className="input grow" type="search" value={name} aria-label={en.files.searchFor} placeholder={en.files.searchFor} autoFocus spellCheck={false} onChange={event => type(event.target.value)} />
        <Button type="submit" working={working && en.common.working}>
          {en.files.search}
        </Button>
      </form>
      {error !== null && <ProblemNote error={error} />}
      {result && (
        <>
          <p className="t-13 muted" role="status">
            {en.files.found(result.found.length, result.truncated)}
          </p>
          <ul className="stack found">
            {result.found.map(it => {
              const above = folderOf(it.path)
              const to = it.kind === 'folder' ? { path: it.path } : { ...(above && { path: above }), file: it.path }
              return (
                <li key={it.path}>
                  <Link to="/servers/$id/files" params={{ id: instance }} search={to} className="row">
                    <Icon of={it.kind === 'folder' ? Folder : FileIcon} />
                    <bdi className="truncate">{readable(it.path)}</bdi>
                  </Link>
                </li>
              )
            })}
          </ul>
        </>
      )}
    </div>
  )
}
