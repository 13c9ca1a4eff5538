/** The content of one file, as the API has it at one address. */
import { readProblem } from '../api/problem'

export const contentUrl = (instance: string, path: string) => `/api/instances/${instance}/files/content?path=${encodeURIComponent(path)}`

/** An answer that is none, as an exception. */
export async function succeeded(response: Response): Promise<Response> {
  if (response.ok) return response
  throw readProblem(await response.json().catch(() => null), response)
}

/** Writes text. What the file has to be for that is in the headers. */
export const putContent = (instance: string, path: string, body: string, headers: Record<string, string>) =>
  fetch(contentUrl(instance, path), { method: 'PUT', body, headers })
