/** A server's files: folders as a table, uploads in a tray, text in an editor. The whole page takes what is dropped. */
import { useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useState, type DragEvent } from 'react'
import { jobsOf } from '../../files/jobs'
import { Listing } from '../../files/Listing'
import { Tray } from '../../files/Tray'
import { dropped, uploadsOf } from '../../files/uploads'
import { useBlocked } from '../../model/payment'
import { en } from '../../text/en'
import { classes } from '../../ui/parts'
import { Unpaid } from '../../ui/Unpaid'
import { useInstance } from './context'

const Editor = lazy(async () => ({ default: (await import('../../files/Editor')).Editor }))

export function Files() {
  const instance = useInstance()
  const { path = '', file } = useSearch({ strict: false }) as { path?: string; file?: string }
  const [over, setOver] = useState(false)
  const uploads = uploadsOf(instance.id)
  const unpaid = useBlocked('file_writes')
  const readOnly = instance.holds.length > 0 || unpaid
  const drop = async (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    if (!readOnly) uploads.send(path, await dropped(event.dataTransfer))
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
      <Unpaid gate="file_writes" />
      {over && !readOnly && <p className="note info">{en.files.drop}</p>}
      <div className={classes(file !== undefined && 'filesgrid')}>
        <Listing key={path} instance={instance} path={path} open={file} uploads={uploads} readOnly={readOnly} />
        {file !== undefined && (
          <Suspense fallback={<div className="card editor" />}>
            <Editor key={file} instance={instance} path={file} folder={path} readOnly={readOnly} />
          </Suspense>
        )}
      </div>
      <Tray uploads={uploads} jobs={jobsOf(instance.id)} />
    </section>
  )
}
