// Every page in light and dark, on a desktop and a phone: axe finds nothing, nothing scrolls sideways, and the browser has
// nothing to complain of. With "pictures", each is kept there.
import { expect, run, signIn, until, violations } from './browser.mjs'

const LOOKS = [
  { size: 'desktop', viewport: { width: 1440, height: 900 } },
  { size: 'phone', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
]

await run(async ({ email, operator, states, held, password, instance, pictures }, { context }) => {
  const found = []
  const pages = [
    ['login', '/login'],
    ['register', '/register'],
    ['reset', '/reset'],
    ['reset-choose', '/reset#token'],
    ['verify', '/verify#token'],
    ['verify-cut', '/verify'],
    ['servers', '/'],
    ['create', '/new'],
    ['server', `/servers/${instance}`],
    ['console', `/servers/${instance}/console`],
    ['files', `/servers/${instance}/files`],
    ['backups', `/servers/${instance}/backups`],
    ['schedules', `/servers/${instance}/schedules`],
    ['notes', `/servers/${instance}/notes`],
    ['settings', `/servers/${instance}/settings`],
    ['billing', '/billing'],
    ['account', '/account'],
    ['not-here', '/servers/00000000-0000-7000-8000-000000000000'],
    ['operations', '/op', operator],
    ['operation-states', '/op?state=all', operator],
    ['findings', '/op/findings', operator],
    ['instances', '/op/instances', operator],
    ['customers', '/op/customers', operator],
    ['payments', '/op/enforcement', operator],
    ['payments-of-one', '/op/enforcement/{states}', operator],
    ['notifications', '/op/notifications', operator],
    ['notifications-failed', '/op/notifications?state=failed', operator],
    ['nodes', '/op/nodes', operator],
    ['states', '/', states],
    ['billing-open', '/billing', states],
    ['create-unpaid', '/new', states],
    ['server-on-hold', `/servers/${held}`, states],
    ['files-on-hold', `/servers/${held}/files`, states],
  ]
  // Both sizes at once, and each page is loaded once for both themes: it follows the browser's.
  const lookAt = async ({ size, ...options }) => {
    const people = new Map()
    for (const who of [email, operator, states]) {
      const made = await context({ ...options, reducedMotion: 'reduce' })
      const page = await made.newPage()
      await signIn(page, who, password)
      people.set(who, page)
    }
    const { id } = await people.get(states).evaluate(async () => (await fetch('/api/me')).json())
    for (const [name, path, who = email] of pages) {
      const page = people.get(who)
      await page.emulateMedia({ colorScheme: 'light' })
      await page.goto(path.replace('{states}', id))
      await page.locator('h1, h2').first().waitFor()
      await until(`${name}-${size} has loaded`, async () => (await page.locator('[aria-busy=true]:not(button), [data-phase=connecting]').count()) === 0)
      if (who === states) await page.locator('.banner[data-stage=final_warning]').waitFor()
      if (path === '/') expect((await page.evaluate(() => globalThis.zlhEarly.size)) === 0, 'what was asked for early was used')
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      if (wider > 0) found.push(`${name}-${size}: scrolls sideways by ${wider} px`)
      for (const colorScheme of ['light', 'dark']) {
        const place = `${name}-${size}-${colorScheme}`
        await page.emulateMedia({ colorScheme })
        found.push(...(await violations(page, place)))
        if (pictures) await page.screenshot({ path: `${pictures}/${place}.png`, fullPage: true })
      }
    }
  }
  await Promise.all(LOOKS.map(lookAt))
  await seeAsTheyDo(await context(), operator, password)
  expect(found.length === 0, `nothing to mend, but:\n${found.join('\n')}`)
  return { pages: pages.length }
})

/** An operator reads the journal of what is stuck, and then sees what a customer sees, for a reason, and changes nothing. */
async function seeAsTheyDo(made, operator, password) {
  const page = await made.newPage()
  await signIn(page, operator, password)
  await page.goto('/op')
  await page.getByRole('link', { name: 'Create' }).first().click()
  await page.getByRole('region', { name: 'Journal' }).waitFor()
  await page.getByText('Cleaning up failed.').first().waitFor()

  await page.goto('/op/customers?query=nils')
  await page.getByRole('button', { name: /^See as they do/ }).click()
  await page.getByLabel('Why').fill('ticket 7')
  await page.getByRole('dialog').getByRole('button', { name: 'See as they do' }).click()
  await page.getByText('You see what nils sees. Nothing can be changed.').waitFor()
  await page.getByRole('link', { name: 'Survival' }).click()
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByLabel('Name').fill('Renamed by somebody else')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText(/Nothing can be changed this way/).waitFor()
  await page.getByRole('link', { name: 'Files' }).click()
  await page.getByText(/not shown to operators/).first().waitFor()
  await page.getByRole('button', { name: 'Leave' }).click()
  await page.getByRole('heading', { name: 'Customers', level: 1 }).waitFor()
}
