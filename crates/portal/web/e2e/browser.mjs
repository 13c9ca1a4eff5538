// What every end-to-end test of the Portal has: a browser whose every complaint fails the test, and somebody to talk to.
import { AxeBuilder } from '@axe-core/playwright'
import { chromium } from 'playwright-core'
import { createInterface } from 'node:readline'

export const PATIENCE = 60_000

/** Answers that a page deals with, which the browser reports all the same. */
const EXPECTED = /Failed to load resource: the server responded with a status of (401|402|403|404|409|412|422|429|503)|net::ERR_(CONNECTION_\w+|SOCKET_NOT_CONNECTED|INTERNET_DISCONNECTED|NETWORK_CHANGED|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)|WebSocket connection to .* failed/

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Tells the test how far it is, and waits until the test says to go on; gives what it says. */
export async function tell(step, data = {}) {
  console.log(JSON.stringify({ step, ...data }))
  const { value } = await lines.next()
  return value === undefined ? {} : JSON.parse(value)
}

export function expect(held, what) {
  if (!held) throw new Error(`expected: ${what}`)
}

export async function until(what, look) {
  const end = Date.now() + PATIENCE
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`not within ${PATIENCE} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

export async function open(portal) {
  const browser = await chromium.launch({
    executablePath: process.env.ZLH_TEST_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  })
  const complaints = []
  const context = async (options = {}) => {
    const made = await browser.newContext({ viewport: { width: 1440, height: 900 }, baseURL: portal, ...options })
    made.setDefaultTimeout(PATIENCE)
    await made.addInitScript(() => {
      addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))
      addEventListener('unhandledrejection', event => console.error(`unhandled: ${event.reason}`))
    })
    made.on('weberror', error => complaints.push(`error: ${error.error().stack}`))
    made.on('console', message => {
      if (message.type() === 'error' && !EXPECTED.test(message.text())) complaints.push(`console: ${message.text()}`)
    })
    return made
  }
  /** What every page shows, for whoever reads why a test failed. */
  const shown = () =>
    Promise.all(
      browser
        .contexts()
        .flatMap(it => it.pages())
        .map(async page => `${page.url()} shows:\n${(await page.locator('body').innerText({ timeout: 1_000 }).catch(String)).slice(0, 2_000)}`),
    )
  return { context, complaints, shown, close: () => browser.close() }
}

export async function signIn(page, email, password) {
  await page.goto('/login')
  await page.getByLabel('Mail address').fill(email)
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Servers', level: 1 }).waitFor()
}

/** What axe finds on the page as it is. */
export async function violations(page, name) {
  const { violations: found } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze()
  return found.flatMap(({ id, nodes }) => nodes.slice(0, 3).map(node => `${name}: ${id} at ${node.target.join(' ')} ${node.failureSummary?.split('\n')[1] ?? ''}`))
}

/** Runs a test: prints what it gives, or why it failed, as the last line. */
export async function run(test) {
  const task = JSON.parse(process.argv[2])
  const portal = await open(task.portal)
  let outcome
  try {
    outcome = await test(task, portal)
    if (portal.complaints.length > 0) throw new Error(portal.complaints.join('\n'))
  } catch (error) {
    outcome = { error: [error.stack, ...portal.complaints, ...(await portal.shown())].join('\n') }
  }
  await portal.close()
  console.log(JSON.stringify({ step: 'end', ...outcome }))
  process.exit(0)
}
