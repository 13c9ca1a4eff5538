/** Uploads, a few at a time, each with its progress. They belong to the window, not to a page: whoever moves about in the
 * Portal meanwhile finds them going on. */
import { useSyncExternalStore } from 'react'
import { readProblem } from '../api/problem'
import { queries } from '../api/queries'
import { en } from '../text/en'
import { contentUrl } from './content'

const AT_ONCE = 2

export type Source = { name: string; file: File }
export type Upload = {
  id: number
  path: string
  file: File
  sent: number
  state: 'waiting' | 'sending' | 'done' | 'failed' | 'cancelled'
  reason: string | null
}

export class Uploads {
  readonly #instance: string
  #items: readonly Upload[] = []
  #requests = new Map<number, XMLHttpRequest>()
  #newest = 0
  #listeners = new Set<() => void>()

  constructor(instance: string) {
    this.#instance = instance
  }

  get = () => this.#items

  subscribe = (listener: () => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  add(folder: string, sources: Source[]): void {
    const fresh = sources.map(({ name, file }): Upload => {
      this.#newest += 1
      return { id: this.#newest, path: folder ? `${folder}/${name}` : name, file, sent: 0, state: 'waiting', reason: null }
    })
    this.#set([...this.#items, ...fresh])
    this.#pump()
  }

  cancel(id: number): void {
    this.#requests.get(id)?.abort()
  }

  retry(id: number): void {
    this.#change(id, { state: 'waiting' })
    this.#pump()
  }

  /** Forgets those that are over. */
  clear(): void {
    this.#set(this.#items.filter(({ state }) => state === 'sending' || state === 'waiting'))
  }

  #set(items: readonly Upload[]): void {
    this.#items = items
    this.#listeners.forEach(listener => listener())
  }

  #change(id: number, some: Partial<Upload>): void {
    this.#set(this.#items.map(it => (it.id === id ? { ...it, ...some } : it)))
  }

  #pump(): void {
    for (const item of this.#items) {
      if (this.#requests.size >= AT_ONCE) return
      if (item.state === 'waiting') this.#send(item)
    }
  }

  #send({ id, path, file }: Upload): void {
    // Not fetch: it does not tell how much was sent.
    const request = new XMLHttpRequest()
    const ended = (some: Partial<Upload>) => {
      this.#requests.delete(id)
      this.#change(id, some)
      void queries.invalidateQueries({ queryKey: ['folder', this.#instance] })
      void queries.invalidateQueries({ queryKey: ['usage', this.#instance] })
      this.#pump()
    }
    request.upload.onprogress = event => this.#change(id, { sent: event.loaded })
    request.onload = () => {
      if (request.status < 300) return ended({ state: 'done', sent: file.size })
      const response = new Response(null, { status: request.status })
      return ended({ state: 'failed', reason: readProblem(request.response, response).message })
    }
    request.onerror = () => ended({ state: 'failed', reason: en.problem.unreachable })
    request.onabort = () => ended({ state: 'cancelled' })
    this.#requests.set(id, request)
    this.#change(id, { state: 'sending', sent: 0, reason: null })
    request.responseType = 'json'
    request.open('PUT', `${contentUrl(this.#instance, path)}&parents=true`)
    request.send(file)
  }
}

const all = new Map<string, Uploads>()

/** Those of one server. */
export function uploadsOf(instance: string): Uploads {
  const there = all.get(instance)
  if (there) return there
  const made = new Uploads(instance)
  all.set(instance, made)
  return made
}

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
