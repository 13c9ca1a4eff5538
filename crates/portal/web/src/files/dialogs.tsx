/** What is asked before something is done with files: where to, as what, from where. */
import { useState } from 'react'
import { en } from '../text/en'
import { FormDialog } from '../ui/Dialog'
import { Field, TextField } from '../ui/parts'
import { FolderTree } from './FolderTree'

type MoveProps = { instance: string; from: string; title: string; verb: string; onDone: (folder: string) => Promise<unknown>; onClose: () => void }

/** Where things go. */
export function TargetDialog({ instance, from, title, verb, onDone, onClose }: MoveProps) {
  const [folder, choose] = useState(from)
  return (
    <FormDialog title={title} verb={verb} ready={folder !== from} onDone={() => onDone(folder)} onClose={onClose}>
      <FolderTree instance={instance} chosen={folder} onChoose={choose} />
    </FormDialog>
  )
}

const formats = ['zip', 'tar_gz', 'tar_zst'] as const
export type Format = (typeof formats)[number]
const endings: Record<Format, string> = { zip: '.zip', tar_gz: '.tar.gz', tar_zst: '.tar.zst' }

/** What an archive is called, and of which kind it is. */
export function ArchiveDialog({ name: proposed, onDone, onClose }: { name: string; onDone: (name: string, format: Format) => Promise<unknown>; onClose: () => void }) {
  const [name, call] = useState(proposed)
  const [format, choose] = useState<Format>('zip')
  return (
    <FormDialog title={en.files.pack} verb={en.files.pack} ready={name.trim() !== ''} onDone={() => onDone(name.trim() + endings[format], format)} onClose={onClose}>
      <TextField label={en.files.archiveName} value={name} onChange={call} autoFocus spellCheck={false} autoComplete="off" required />
      <Field label={en.files.format}>
        {props => (
          <select {...props} className="input" value={format} onChange={event => choose(event.target.value as Format)}>
            {formats.map(it => (
              <option key={it} value={it}>
                {endings[it]}
              </option>
            ))}
          </select>
        )}
      </Field>
    </FormDialog>
  )
}

/** From which address a file comes, and what it is called here. */
export function FetchDialog({ onDone, onClose }: { onDone: (url: string, name: string) => Promise<unknown>; onClose: () => void }) {
  const [url, type] = useState('')
  const [name, call] = useState<string | null>(null)
  const proposed = nameIn(url)
  const called = name ?? proposed
  return (
    <FormDialog title={en.files.fetch} verb={en.files.fetchIt} ready={url.startsWith('https://') && called.trim() !== ''} onDone={() => onDone(url.trim(), called.trim())} onClose={onClose}>
      <TextField label={en.files.url} hint={en.files.urlHint} value={url} onChange={type} type="url" placeholder="https://" autoFocus spellCheck={false} required />
      <TextField label={en.files.fileName} value={called} onChange={call} spellCheck={false} autoComplete="off" required />
    </FormDialog>
  )
}

/** The last part of an address, as a name. */
function nameIn(url: string): string {
  try {
    return decodeURIComponent(new URL(url).pathname.split('/').filter(Boolean).at(-1) ?? '')
  } catch {
    return ''
  }
}
