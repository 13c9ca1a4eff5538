// Opens a development workspace in a real browser, as its owner, as nobody and as somebody else, and prints what happened
// as one line of JSON. node ide.mjs '{"portal", "instance", "host", "owner", "other", "password", "picture"}'
import { chromium } from 'playwright-core'

const { portal, instance, host, owner, other, password, picture } = JSON.parse(process.argv[2])
const workspace = `http://${host}`
const PATIENCE = 60_000
const result = {}

const browser = await chromium.launch({
  executablePath: process.env.ZLH_TEST_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage']
})

async function until (what, look) {
  const end = Date.now() + PATIENCE
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`not within ${PATIENCE} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

const api = (context, path, data) => context.request.post(`${portal}${path}`, { data, headers: { origin: portal } })

async function person (email) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  context.setDefaultTimeout(PATIENCE)
  if (email) {
    const answer = await api(context, '/api/auth/login', { email, password })
    if (!answer.ok()) throw new Error(`login: ${answer.status()}`)
  }
  return context
}

async function visit (context, url = `${workspace}/lab`) {
  const page = await context.newPage()
  const answer = await page.goto(url)
  return { page, status: answer.status(), url: page.url() }
}

const inside = (page, path) => page.evaluate(async path => {
  const answer = await fetch(path)
  return { status: answer.status, body: answer.ok ? await answer.json() : null }
}, path)

// Runs a line of Python in a kernel, as a notebook does, and gives what it prints.
const python = (page, code) => page.evaluate(async code => {
  const xsrf = document.cookie.match(/_xsrf=([^;]*)/)[1]
  const answer = await fetch('/api/kernels', { method: 'POST', headers: { 'x-xsrftoken': xsrf }, body: '{}' })
  const { id } = await answer.json()
  const socket = new WebSocket(`ws://${location.host}/api/kernels/${id}/channels`)
  const header = { msg_id: 'one', msg_type: 'execute_request', session: 'test', username: '', version: '5.3', date: '' }
  const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false }
  const request = { header, parent_header: {}, metadata: {}, content, channel: 'shell', buffers: [] }
  const printed = await new Promise((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify(request))
    socket.onclose = () => reject(new Error('the kernel has closed'))
    socket.onmessage = ({ data }) => {
      const { msg_type: kind, content } = typeof data === 'string' ? JSON.parse(data) : {}
      if (kind === 'stream') resolve(content.text)
      if (kind === 'error') reject(new Error(content.evalue))
    }
    setTimeout(() => reject(new Error('the kernel prints nothing')), 30_000)
  })
  socket.close()
  return printed
}, code)

async function run () {
  const nobody = await person()
  result.nobody = (await visit(nobody)).url

  const stranger = await person(other)
  result.strangers_ticket = (await api(stranger, `/api/instances/${instance}/ide/tickets`, {})).status()
  result.stranger = (await visit(stranger)).url

  const context = await person(owner)
  // Signed in to the Portal, and still nobody here: its cookie is not sent to workspaces.
  result.without_ticket = (await visit(context)).url
  const ticket = await (await api(context, `/api/instances/${instance}/ide/tickets`, {})).json()
  const page = await context.newPage()
  // The page's own word for each of its sockets: the browser's protocol does not tell of every end.
  await page.addInitScript(() => {
    const Real = window.WebSocket
    window.sockets = []
    window.received = []
    window.WebSocket = class extends Real {
      constructor (...given) {
        super(...given)
        window.sockets.push(this)
        this.addEventListener('message', () => { if (window.ended) window.received.push(this.url) })
      }
    }
  })
  await page.goto(ticket.url)
  result.entered = page.url()
  result.cookies = (await context.cookies(workspace)).map(cookie => `${cookie.name} ${cookie.domain} ${cookie.httpOnly}`)
  // The same link again, by somebody who found it.
  result.ticket_again = (await visit(nobody, ticket.url)).status

  await page.locator('.jp-LauncherCard[data-category="Other"]', { hasText: 'Terminal' }).click()
  await page.locator('.jp-Terminal .xterm-helper-textarea').waitFor({ state: 'attached' })
  await page.locator('.jp-Terminal').click()
  // Typed again until the shell has taken it: it reads once its prompt is there.
  await until('the file that the terminal writes', async () => {
    await page.keyboard.type('echo "written by $((40 + 2))" > seen.txt; cat seen.txt\n')
    return (await inside(page, '/api/contents/seen.txt')).status === 200
  })
  result.content = (await inside(page, '/api/contents/seen.txt')).body.content
  await page.locator('[data-command="filebrowser:refresh"]').first().click()
  await page.locator('.jp-DirListing-item', { hasText: 'seen.txt' }).waitFor()
  result.listed = true
  if (picture) await page.screenshot({ path: picture })
  result.sockets = await page.evaluate(() => window.sockets.length)
  result.kernel = await python(page, 'print(6 * 7)')

  // A live cookie for another host: as another customer of the installation has one.
  const [cookie] = (await context.cookies(workspace)).filter(cookie => cookie.name.endsWith('zlh_ide'))
  const elsewhere = workspace.replace(host, `not-${host}`)
  await stranger.addCookies([{ name: cookie.name, value: cookie.value, url: elsewhere, httpOnly: true }])
  result.other_workspace = (await visit(stranger, `${elsewhere}/lab`)).status

  const before = await page.evaluate(() => window.sockets.length)
  result.logout = (await api(context, '/api/auth/logout', {})).status()
  const began = Date.now()
  result.after_logout = await until('requests are refused', async () => {
    const { status } = await inside(page, '/api/contents/seen.txt')
    return status === 200 ? null : status
  })
  // JupyterLab goes on trying to connect anew, and Chromium holds back each attempt after a refused one for some seconds:
  // what matters is that what was open is closed, and that nothing arrives by another.
  const open = before => page.evaluate(before => {
    window.ended = true
    const old = window.sockets.slice(0, before)
    return old.filter(socket => socket.readyState !== WebSocket.CLOSED).map(socket => `${socket.readyState} ${socket.url}`)
  }, before)
  await until('the WebSockets are closed', async () => {
    result.open = await open(before)
    return result.open.length === 0
  })
  result.closed_ms = Date.now() - began
  await page.waitForTimeout(3_000)
  result.received = (await page.evaluate(() => window.received))[0]
  result.reload = (await visit(context)).url
}

await run().catch(error => { result.error = String(error.stack ?? error) })
await browser.close()
console.log(JSON.stringify(result))
process.exit(result.error ? 1 : 0)
