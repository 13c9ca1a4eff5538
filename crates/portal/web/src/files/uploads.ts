/** Uploads, a few at a time, each with its progress. They belong to the window, not to a page: whoever moves about in the
 * Portal meanwhile finds them going on. A large file is sent so that it goes on where it was cut, also after a reload, once
 * the same file is chosen again. */
import { useSyncExternalStore } from 'react'
import { api, unwrap } from '../api/client'
import { Problem, readProblem } from '../api/problem'
import { queries } from '../api/queries'
import { contentUrl, within } from './content'
import { remembered } from './remembered'
import { perServer, Watched } from './watched'

const AT_ONCE = 2
/** From here on a file is sent in parts: below, beginning anew costs less than asking where it was. */
const IN_PARTS_FROM = 8 * 1024 * 1024
/** Pauses before a cut upload goes on. After the last one without any progress it waits for its owner. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000]

export type Source = { name: string; file: File }
export type Upload = {
  id: number
  path: string
  file: File
  sent: number
  /** `paused`: the connection broke, and it goes on by itself. */
  state: 'waiting' | 'sending' | 'paused' | 'done' | 'failed' | 'cancelled'
  reason: string | null
}

/** Ended by its owner. */
class Cancelled extends Error {}

export class Uploads extends Watched<Upload> {
  readonly #instance: string
  #running = new Map<number, AbortController>()

  constructor(instance: string) {
    super()
    this.#instance = instance
  }

  send(folder: string, sources: Source[]): void {
    this.add(...sources.map(({ name, file }) => ({ path: within(folder, name), file, sent: 0, state: 'waiting' as const, reason: null })))
    this.#pump()
  }

  cancel(id: number): void {
    const running = this.#running.get(id)
    if (running) running.abort(new Cancelled())
    else this.change(id, { state: 'cancelled' })
  }

  retry(id: number): void {
    this.change(id, { state: 'waiting', reason: null })
    this.#pump()
  }

  /** Forgets those that are over. */
  clear(): void {
    this.keep(({ state }) => state === 'sending' || state === 'waiting' || state === 'paused')
  }

  #pump(): void {
    for (const item of this.get()) {
      if (this.#running.size >= AT_ONCE) return
      if (item.state === 'waiting') void this.#run(item)
    }
  }

  async #run(item: Upload): Promise<void> {
    const abort = new AbortController()
    this.#running.set(item.id, abort)
    this.change(item.id, { state: 'sending' })
    const ended = await this.#transfer(item, abort.signal).then(
      (): Partial<Upload> => ({ state: 'done', sent: item.file.size }),
      (error: unknown): Partial<Upload> => (error instanceof Cancelled ? { state: 'cancelled' } : { state: 'failed', reason: Problem.of(error).message }),
    )
    this.#running.delete(item.id)
    this.change(item.id, ended)
    void queries.invalidateQueries({ queryKey: ['folder', this.#instance] })
    void queries.invalidateQueries({ queryKey: ['usage', this.#instance] })
    this.#pump()
  }

  #transfer({ id, path, file }: Upload, signal: AbortSignal): Promise<unknown> {
    const progress = (sent: number) => this.change(id, { sent })
    if (file.size < IN_PARTS_FROM) return transmit('PUT', `${contentUrl(this.#instance, path)}&parents=true`, file, progress, signal)
    return this.#sendInParts(id, path, file, signal)
  }

  async #sendInParts(id: number, path: string, file: File, signal: AbortSignal): Promise<void> {
    const memory = remembered(this.#instance, path, file)
    let upload = await this.#known(memory.read())
    let tries = 0
    for (;;) {
      try {
        upload ??= await this.#begin(path, file.size)
        memory.write(upload.id)
        const begins = upload.offset_bytes
        this.change(id, { state: 'sending', sent: begins })
        const url = `/api/instances/${this.#instance}/files/uploads/${upload.id}?offset=${begins}`
        const answer = await transmit('PATCH', url, file.slice(begins), sent => this.change(id, { sent: begins + sent }), signal)
        if ((answer as { file: unknown }).file) {
          memory.clear()
          return
        }
        upload = await this.#known(upload.id)
      } catch (error) {
        if (error instanceof Cancelled) {
          memory.clear()
          if (upload) void api.DELETE('/api/instances/{id}/files/uploads/{upload}', { params: { path: { id: this.#instance, upload: upload.id } } })
          throw error
        }
        const pause = PAUSES_MS[tries]
        if (!mayPass(Problem.of(error)) || pause === undefined) {
          if (!mayPass(Problem.of(error))) memory.clear()
          throw error
        }
        this.change(id, { state: 'paused' })
        await rest(pause, signal)
        const before: number = upload?.offset_bytes ?? 0
        upload = await this.#known(upload?.id ?? null).catch(() => upload)
        tries = upload && upload.offset_bytes > before ? 0 : tries + 1
      }
    }
  }

  /** How far an upload is; none that was given up, or is whole. */
  async #known(upload: string | null) {
    if (!upload) return null
    try {
      return await unwrap(api.GET('/api/instances/{id}/files/uploads/{upload}', { params: { path: { id: this.#instance, upload } } }))
    } catch (error) {
      if (Problem.of(error).status === 404) return null
      throw error
    }
  }

  #begin(path: string, size_bytes: number) {
    return unwrap(api.POST('/api/instances/{id}/files/uploads', { params: { path: { id: this.#instance } }, body: { path, size_bytes, parents: true } }))
  }
}

/** What the network, a restart, or too much at once was the reason of. */
const mayPass = ({ status, code }: Problem) => status === 0 || status === 408 || status === 429 || status >= 500 || code === 'upload_offset_mismatch' || code === 'bad_request'

/** Not fetch: it does not tell how much was sent. */
function transmit(method: string, url: string, body: Blob, progress: (sent: number) => void, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    signal.addEventListener('abort', abort, { once: true })
    const end = (act: () => void) => () => {
      signal.removeEventListener('abort', abort)
      act()
    }
    request.upload.onprogress = event => progress(event.loaded)
    request.onload = end(() => {
      if (request.status < 300) return resolve(request.response)
      return reject(readProblem(request.response, new Response(null, { status: request.status })))
    })
    request.onerror = end(() => reject(Problem.unreachable()))
    request.onabort = end(() => reject(new Cancelled()))
    request.responseType = 'json'
    request.open(method, url)
    request.send(body)
  })
}

/** A pause that ends when the network comes back, or with the upload. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (act: () => void) => () => {
      clearTimeout(timer)
      removeEventListener('online', back)
      signal.removeEventListener('abort', cancel)
      act()
    }
    const back = end(resolve)
    const cancel = end(() => reject(new Cancelled()))
    const timer = setTimeout(back, ms)
    addEventListener('online', back)
    signal.addEventListener('abort', cancel)
  })
}

/** Those of one server. */
export const uploadsOf = perServer(instance => new Uploads(instance))

export const useUploads = (uploads: Uploads) => useSyncExternalStore(uploads.subscribe, uploads.get)

/** What was dropped: files, and folders with all that is in them. Entries are read as entries, so that an empty file is a file. */
export async function dropped(data: DataTransfer): Promise<Source[]> {
  const entries = [...data.items].map(item => item.webkitGetAsEntry()).filter(entry => entry !== null)
  return (await Promise.all(entries.map(entry => walk(entry, '')))).flat()
}

async function walk(entry: FileSystemEntry, above: string): Promise<Source[]> {
  const name = above + entry.name
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    return [{ name, file }]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const found: Source[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return found
    for (const inner of some) found.push(...(await walk(inner, `${name}/`)))
  }
}
