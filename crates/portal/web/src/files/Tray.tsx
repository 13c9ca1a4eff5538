/** What is being uploaded and worked at: stays while one moves about in the folders. */
import { X } from 'lucide-react'
import { bytes, percent } from '../model/format'
import { en } from '../text/en'
import { Button } from '../ui/parts'
import { useJobs, type Job, type Jobs } from './jobs'
import { useUploads, type Upload, type Uploads } from './uploads'
import { readable } from './content'

export function Tray({ uploads, jobs }: { uploads: Uploads; jobs: Jobs }) {
  const files = useUploads(uploads)
  const work = useJobs(jobs)
  if (files.length === 0 && work.length === 0) return null
  const clear = () => {
    uploads.clear()
    jobs.clear()
  }
  return (
    <div className="card tray" role="region" aria-label={en.files.uploading}>
      <header>
        <h2>{en.files.uploading}</h2>
        <Button className="end" kind="ghost" size="s" icon={X} aria-label={en.common.close} onClick={clear} />
      </header>
      <ul className="uploads">
        {work.map(job => (
          <JobLine key={`job-${job.id}`} job={job} onCancel={() => jobs.cancel(job.id)} />
        ))}
        {files.map(item => (
          <UploadLine key={item.id} item={item} uploads={uploads} />
        ))}
      </ul>
    </div>
  )
}

function JobLine({ job, onCancel }: { job: Job; onCancel: () => void }) {
  return (
    <li className="row" data-state={job.state}>
      <span className="grow truncate">
        <bdi>{job.words}</bdi>
      </span>
      {job.state === 'running' && (
        <>
          <span className="spin" />
          <span className="t-13 num muted">{bytes(job.done)}</span>
          <Button kind="ghost" size="s" icon={X} aria-label={`${en.common.cancel}: ${job.words}`} onClick={onCancel} />
        </>
      )}
      {job.state === 'succeeded' && <span className="t-13 ok-t">{en.files.done}</span>}
      {job.state === 'cancelled' && <span className="t-13 muted">{en.files.cancelled}</span>}
      {job.state === 'failed' && <span className="t-13 bad-t">{job.reason}</span>}
    </li>
  )
}

function UploadLine({ item, uploads }: { item: Upload; uploads: Uploads }) {
  const path = readable(item.path)
  const share = item.file.size === 0 ? 1 : item.sent / item.file.size
  return (
    <li className="row" data-state={item.state}>
      <span className="grow truncate">
        <bdi>{path}</bdi>
      </span>
      {(item.state === 'sending' || item.state === 'paused') && (
        <>
          {item.state === 'paused' && <span className="t-13 warn-t">{en.files.paused}</span>}
          <progress className={item.state === 'paused' ? 'warn' : undefined} max={1} value={share} aria-label={path} />
          <span className="t-13 num">{percent(share * 100)}</span>
        </>
      )}
      {item.state === 'waiting' && <span className="t-13 muted num">{bytes(item.file.size)}</span>}
      {['sending', 'paused', 'waiting'].includes(item.state) && (
        <Button kind="ghost" size="s" icon={X} aria-label={`${en.common.cancel}: ${path}`} onClick={() => uploads.cancel(item.id)} />
      )}
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
  )
}
