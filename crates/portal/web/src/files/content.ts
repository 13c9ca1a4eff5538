/** The content of one file, as the API has it at one address; and how names become paths. */
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

/** Something by its name in a folder. Paths come from the API as they are used; a name that somebody typed, or a file of
 * theirs has, may have a `%` of its own. */
export const within = (folder: string, name: string) => {
  const encoded = name.replaceAll('%', '%25')
  return folder ? `${folder}/${encoded}` : encoded
}

/** Something of this path, in another folder under the name that it has: which may be no text at all. */
export const movedTo = (folder: string, path: string) => {
  const name = path.split('/').at(-1) ?? path
  return folder ? `${folder}/${name}` : name
}

/** The folder that something is in. */
export const folderOf = (path: string) => path.split('/').slice(0, -1).join('/')

/** A path as people read it. */
export function readable(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
