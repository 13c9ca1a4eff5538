import { beforeAll, expect, test, vi } from 'vitest'

const answers = new Map<string, Promise<Response>>()
let early: (request: Request) => Promise<Response | undefined>

beforeAll(async () => {
  vi.stubGlobal('zlhEarly', answers)
  ;({ early } = await import('./early'))
})

const ask = (path: string) => early(new Request(`http://localhost${path}`))

test('an early answer is taken once', async () => {
  answers.set('/api/billing', Promise.resolve(new Response('{}')))
  expect((await ask('/api/billing'))?.status).toBe(200)
  expect(await ask('/api/billing')).toBeUndefined()
})

test('what was refused before somebody signed in is asked again afterwards', async () => {
  answers.set('/api/operations?limit=100', Promise.resolve(new Response(null, { status: 401 })))
  answers.set('/api/me', Promise.resolve(new Response(null, { status: 401 })))
  expect(await ask('/api/operations?limit=100')).toBeUndefined()
  expect((await ask('/api/me'))?.status).toBe(401)
})
