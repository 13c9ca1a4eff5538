/** The answers that `public/first.js` asked for before this code was here. Each is taken once, instead of asking again. */

const answers = (globalThis as { zlhEarly?: Map<string, Promise<Response>> }).zlhEarly

/** The answer to this request, if it was asked for early. An early request that failed says nothing: the caller asks itself. */
export async function early(request: Request): Promise<Response | undefined> {
  const { pathname, search } = new URL(request.url)
  const answer = request.method === 'GET' ? answers?.get(pathname + search) : undefined
  if (!answer) return undefined
  answers?.delete(pathname + search)
  const cancelled = new Promise<never>((_, reject) => request.signal.addEventListener('abort', () => reject(request.signal.reason as Error)))
  const got = await Promise.race([answer.catch(() => undefined), cancelled])
  // Asked for before somebody signed in on this page: who one is may be known from it, and nothing else.
  return got?.status === 401 && pathname !== '/api/me' ? undefined : got
}
