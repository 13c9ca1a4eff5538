// What is not every day: a workspace opened in its own tab, a game whose console is a terminal, a folder of 10,000 files, 500
// servers, and what the page says when it is refused, held, cut off, or when the database is away.
import { expect, run, signIn, tell, until, violations } from './browser.mjs'

const FILES = 10_000
const SERVERS = 500

await run(async ({ email, many, password }, { context }) => {
  const mine = await context()
  const page = await mine.newPage()

  // Too many guesses: how long to wait, in its own words, and what was typed is still there.
  await page.goto('/login')
  await page.getByLabel('Mail address').fill('guess@example.com')
  await page.getByLabel('Password', { exact: true }).fill('not the password')
  await until('guessing is refused', async () => {
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    return (await page.getByText(/^Possible again in \d+ seconds?\.$/).count()) > 0
  })
  expect((await page.getByLabel('Mail address').inputValue()) === 'guess@example.com', 'what was typed stays')

  await signIn(page, email, password)
  const create = async (kind, game, name) => {
    await page.goto('/new')
    await page.getByRole('button', { name: kind }).click()
    await page.getByText(game, { exact: true }).first().click()
    await page.getByLabel('Name').fill(name)
    await page.getByRole('button', { name: 'Create server' }).click()
    await page.waitForURL(/\/servers\//)
    await page.locator('[data-state=running]').first().waitFor()
    return page.url().split('/').at(-1)
  }

  // A name that nobody could read is refused at its field, and nothing was made.
  await page.goto('/new')
  await page.getByText('Terminal', { exact: true }).first().click()
  await page.getByLabel('Name').fill('Twin\u200b')
  await page.getByRole('button', { name: 'Create server' }).click()
  await page.locator('.field', { has: page.getByLabel('Name') }).getByRole('alert').waitFor()
  expect((await page.evaluate(async () => (await (await fetch('/api/instances')).json()).items)).length === 0, 'nothing was made')

  // A workspace, from the form to its editor.
  await create('Workspaces', 'Python workspace', 'Notebook')
  const [workspace] = await Promise.all([page.waitForEvent('popup'), page.getByRole('button', { name: 'Open the workspace' }).click()])
  await workspace.waitForURL(/^http:\/\/[a-z0-9-]+\.ide\.localhost.*\/lab/)
  await workspace.getByRole('menuitem', { name: 'File' }).waitFor()
  expect(!workspace.url().includes('ticket'), 'the ticket does not stay in the address')
  await workspace.close()

  // A game whose console is a terminal: colours, keys as they are typed, the window's size, and all of it again after a reload.
  const id = await create('Games', 'Terminal', 'Dungeon')
  await page.goto(`/servers/${id}/console`)
  const console = page.getByRole('region', { name: 'Console' })
  const rows = console.locator('.xterm-rows')
  const shows = (what, text) => until(what, async () => (await rows.innerText()).replaceAll('\u00a0', ' ').includes(text))
  await shows('what was said before is drawn', 'ready')
  expect((await rows.locator('[class*=xterm-fg-2]').count()) > 0, 'green is green')
  const type = async text => {
    await console.locator('.xterm-helper-textarea').focus()
    await page.keyboard.type(`${text}\n`)
  }
  await type('hello')
  await shows('what is typed arrives', 'you said hello')
  await type('size')
  await until('the terminal knows its window', async () => {
    const [, columns] = (await rows.innerText()).replaceAll('\u00a0', ' ').match(/size \d+ (\d+)/) ?? []
    return Number(columns) > 80
  })
  expect((await violations(page, 'terminal')).length === 0, 'axe finds nothing')
  await page.reload()
  await shows('it is all there again', 'you said hello')

  // 10,000 files: as many rows as fit, and the last one is a scroll away.
  await type('many')
  await shows('they are made', 'made them')
  await page.goto(`/servers/${id}/files?path=many`)
  const table = page.getByRole('table')
  await table.getByText('00001.txt').waitFor()
  expect((await table.getByRole('row').count()) < 200, 'only what is seen is drawn')
  await until('the last one is seen', async () => {
    await page.mouse.move(700, 600)
    await page.mouse.wheel(0, 1_000_000)
    return (await table.getByText(`${FILES}.txt`).count()) > 0
  })

  // The line is cut: the page says so, shows what it had, and goes on by itself.
  await page.goto('/')
  await page.getByRole('link', { name: 'Dungeon' }).waitFor()
  await mine.setOffline(true)
  await page.getByText(/^No connection\. Showing \d\d:\d\d:\d\d$/).waitFor()
  await page.getByRole('link', { name: 'Dungeon' }).waitFor()
  await mine.setOffline(false)
  await page.getByText(/^No connection/).waitFor({ state: 'detached' })

  // An operator holds it meanwhile: the note word for word, and no command goes through.
  await page.goto(`/servers/${id}`)
  await page.getByRole('button', { name: 'Restart' }).waitFor()
  await tell('hold', { instance: id })
  await page.getByText('We are looking into a report.').first().waitFor()
  expect(await page.getByRole('button', { name: 'Start', exact: true }).isDisabled(), 'what is held cannot be started')

  // The database is away: what was typed stays, the words say that nothing was lost, and trying again works once it is back.
  await page.goto(`/servers/${id}/settings`)
  await page.getByLabel('Name').fill('Deep dungeon')
  await tell('stop_database')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').getByText(/database/i).first().waitFor()
  expect((await page.getByLabel('Name').inputValue()) === 'Deep dungeon', 'what was typed stays')
  await tell('start_database')
  const save = page.getByRole('button', { name: 'Save' })
  await until('it is saved', async () => {
    // What was saved has nothing left to save, however long its answer took: the button is asked before it is pressed.
    if (await save.isEnabled()) await save.click({ timeout: 1_000 }).catch(() => {})
    return (await page.getByRole('heading', { name: 'Deep dungeon', level: 1 }).count()) === 1
  })

  // 500 servers: each is there, found by a letter or a filter.
  const other = await (await context()).newPage()
  await signIn(other, many, password)
  await other.getByText(`${SERVERS} servers, none running`).waitFor()
  expect((await other.getByRole('article').count()) === SERVERS, 'each has its card')
  await other.keyboard.press('/')
  await other.getByRole('combobox').waitFor()
  await other.keyboard.type(`Server ${SERVERS}`)
  await other.keyboard.press('Enter')
  await other.getByRole('heading', { name: `Server ${SERVERS}`, level: 1 }).waitFor()
  return {}
})
