/** Work on files that takes a while: begun, watched to its end, ended on request. It belongs to the window, as uploads do. */
import { useSyncExternalStore } from 'react'
import { api, unwrap, type FileEntry } from '../api/client'
import { Problem } from '../api/problem'
import { queries } from '../api/queries'
import type { components } from '../api/schema'
import { perServer, Watched } from './watched'

export type JobSpec = components['schemas']['Job']
type Answer = components['schemas']['FileJob']

export type Job = {
  id: number
  /** What it does, in words. */
  words: string
  state: 'running' | 'succeeded' | 'failed' | 'cancelled'
  done: number
  reason: string | null
}

const LOOK_MS = 1_000

export class Jobs extends Watched<Job> {
  readonly #instance: string
  #known = new Map<number, string>()

  constructor(instance: string) {
    super()
    this.#instance = instance
  }

  /** Begins it; fails when it is refused. What it is about goes on while one moves about. */
  async run(body: JobSpec, words: string): Promise<void> {
    const job = await this.#begin(body)
    for (const { id } of this.add({ words, state: 'running', done: 0, reason: null })) {
      this.#known.set(id, job.id)
      void this.#watch(id, job)
    }
  }

  cancel(id: number): void {
    const job = this.#known.get(id)
    if (job) void api.DELETE('/api/instances/{id}/files/jobs/{job}', { params: { path: { id: this.#instance, job } } })
  }

  clear(): void {
    this.keep(({ state }) => state === 'running')
  }

  #begin(body: JobSpec) {
    return unwrap(api.POST('/api/instances/{id}/files/jobs', { params: { path: { id: this.#instance } }, body }))
  }

  async #watch(id: number, begun: Answer): Promise<void> {
    let job = begun
    while (job.state === 'running') {
      this.change(id, { done: job.done_bytes })
      await new Promise(resolve => setTimeout(resolve, LOOK_MS))
      try {
        job = await unwrap(api.GET('/api/instances/{id}/files/jobs/{job}', { params: { path: { id: this.#instance, job: job.id } } }))
      } catch (error) {
        const problem = Problem.of(error)
        // Forgotten by a restart of its machine, or the server is gone: anything else passes.
        if (problem.status === 404) job = { ...job, state: 'failed', error: { code: problem.code, message: problem.message } }
      }
    }
    this.change(id, { state: job.state as Job['state'], done: job.done_bytes, reason: job.error?.message ?? null })
    void queries.invalidateQueries({ queryKey: ['folder', this.#instance] })
    void queries.invalidateQueries({ queryKey: ['usage', this.#instance] })
  }
}

/** Names that contain a text, below a folder. */
export async function search(instance: string, path: string, name: string): Promise<{ found: FileEntry[]; truncated: boolean }> {
  let job = await unwrap(api.POST('/api/instances/{id}/files/jobs', { params: { path: { id: instance } }, body: { kind: 'search', path, name } }))
  while (job.state === 'running') {
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    job = await unwrap(api.GET('/api/instances/{id}/files/jobs/{job}', { params: { path: { id: instance, job: job.id } } }))
  }
  return job
}

/** Those of one server. */
export const jobsOf = perServer(instance => new Jobs(instance))

export const useJobs = (jobs: Jobs) => useSyncExternalStore(jobs.subscribe, jobs.get)
