// A customer's day: signs in, makes a server with a double click, reads and types in its console while the API restarts and the
// agent dies, edits a file against somebody else's change, backs up and restores, and is signed out in the middle of a form.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, run, signIn, tell, until } from './browser.mjs'

const folder = mkdtempSync(join(tmpdir(), 'zlh-portal-'))
process.on('exit', () => rmSync(folder, { recursive: true }))

/** A file of so many megabytes that do not repeat. */
async function bigFile(megabytes) {
  const path = join(folder, 'world.bin')
  const file = openSync(path, 'w')
  const hash = createHash('sha256')
  for (let n = 0; n < megabytes; n++) {
    const piece = randomBytes(1e6)
    hash.update(piece)
    writeSync(file, piece)
  }
  return { path, sha256: hash.digest('hex') }
}

await run(async ({ email, password }, { context }) => {
  const mine = await context()
  const page = await mine.newPage()
  await signIn(page, email, password)

  // A server. Two clicks make one.
  await page.getByRole('link', { name: 'New server' }).first().click()
  await page.getByText('Minecraft (flying-squid)').click()
  await page.getByLabel('Name').fill('Überleben 🏰')
  await page.reload()
  expect((await page.getByLabel('Name').inputValue()) === 'Überleben 🏰', 'what was typed survives a reload')
  await page.getByRole('button', { name: 'Create server' }).dblclick()
  await page.waitForURL(/\/servers\//)
  const server = page.url()
  const id = server.split('/').at(-1)
  await page.locator('[data-state=queued], [data-state=creating], [data-state=running]').first().waitFor()
  await page.locator('[data-state=running]').first().waitFor()
  const instances = await page.evaluate(async () => (await (await fetch('/api/instances')).json()).items)
  expect(instances.length === 1, `one server, not ${instances.length}`)
  await tell('joinable', { address: instances[0].address })

  // The console: every line once, whatever happens to the API and the agent.
  const console = page.getByRole('region', { name: 'Console' })
  await console.locator('[data-phase=live]').waitFor()
  const type = async text => {
    await console.getByLabel('Command').fill(text)
    await console.getByLabel('Command').press('Enter')
  }
  await type('say before')
  await tell('restart_api')
  await console.locator('[data-phase=live]').waitFor()
  await type('say after the api')
  // Taken before the agent dies: one that is cut off is refused, and stays to be seen.
  await console.getByText('[Server] after the api').waitFor()
  await tell('kill_agent')
  await until('the console is live after the agent', async () => {
    await type('say after the agent')
    await page.waitForTimeout(500)
    return (await console.locator('[data-phase=live]').count()) === 1 && (await console.getByRole('alert').count()) === 0
  }).catch(async error => {
    throw new Error(`${error.message}: ${(await console.innerText()).slice(-1_500)}`)
  })
  const shown = await console.locator('[data-seq]').evaluateAll(all => all.map(line => Number(line.dataset.seq)))
  const sorted = [...shown].sort((a, b) => a - b)
  expect(JSON.stringify(shown) === JSON.stringify(sorted), 'lines are in order')
  expect(new Set(shown).size === shown.length, 'no line is doubled')
  expect(sorted.every((seq, at) => at === 0 || seq === sorted[at - 1] + 1), `no line is missing: ${shown}`)

  // Far more lines than fit: the end is in view, what is above can be scrolled to, and only a hand pauses.
  await page.getByRole('link', { name: 'Console' }).click()
  await console.locator('[data-phase=live]').waitFor()
  for (let n = 0; n < 40; n++) await type(`say line ${n}`)
  await console.getByText('[Server] line 39').waitFor()
  const log = console.getByRole('log')
  const above = () => log.evaluate(node => [node.scrollHeight - node.clientHeight - node.scrollTop, node.scrollHeight - node.clientHeight])
  await until('the end is in view', async () => (await above())[0] < 24)
  expect((await above())[1] > 100, 'there is more than fits')
  await log.hover()
  await page.mouse.wheel(0, -10_000)
  await type('say while one reads above')
  await console.getByRole('button', { name: /new line/ }).click()
  await console.getByText('[Server] while one reads above').waitFor()

  // A file: made, edited, changed by somebody else meanwhile.
  await page.getByRole('link', { name: 'Files' }).click()
  const add = async what => {
    await page.getByRole('button', { name: 'New', exact: true }).click()
    await page.getByRole('menuitem', { name: what }).click()
  }
  await add('New file')
  await page.getByLabel('Name of the file').fill('motd.txt')
  await page.getByRole('button', { name: 'Make' }).click()
  const editor = page.getByRole('textbox', { name: 'motd.txt' })
  await editor.click()
  await page.keyboard.type('Hello')
  await page.keyboard.press('Control+s')
  await page.getByText('Saved', { exact: true }).first().waitFor()
  const content = `/api/instances/${id}/files/content?path=motd.txt`
  const put = (body, headers) => page.evaluate(async ([url, body, headers]) => (await fetch(url, { method: 'PUT', body, headers })).status, [content, body, headers])
  const get = () => page.evaluate(async url => (await fetch(url)).text(), content)
  expect((await get()) === 'Hello', 'what was typed is in the file')
  expect((await put('Theirs', {})) === 200, 'somebody else saves')
  await editor.click()
  await page.keyboard.type(', world')
  await page.keyboard.press('Control+s')
  await page.getByText('Somebody else has changed this file').waitFor()
  expect((await get()) === 'Theirs', 'nothing was overwritten')
  await page.getByRole('button', { name: 'Save mine anyway' }).click()
  await until('mine is saved', async () => (await get()).includes('world'))
  await page.getByRole('button', { name: 'Close the file' }).click()

  // An upload by the button, with its progress in the tray.
  await page.getByTestId('upload').setInputFiles({ name: 'plugin.jar', mimeType: 'application/java-archive', buffer: Buffer.alloc(3_000_000, 7) })
  const tray = page.getByRole('region', { name: 'Uploads and work' })
  await tray.getByText('Uploaded').waitFor()
  await page.getByRole('link', { name: 'plugin.jar' }).waitFor()

  // 200 MB, cut twice. What has come is not sent again.
  const { path: world, sha256 } = await bigFile(200)
  const wire = await mine.newCDPSession(page)
  // As slow as a good line, so that there is something to cut.
  await wire.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 40e6 })
  await page.getByTestId('upload').setInputFiles(world)
  const bar = tray.locator('[data-state=sending] progress')
  const offsets = []
  page.on('request', request => {
    if (request.method() === 'PATCH') offsets.push(Number(new URL(request.url()).searchParams.get('offset')))
  })
  for (const share of [0.2, 0.6]) {
    await until(`more than ${share} has come`, async () => (await bar.evaluateAll(all => Math.max(0, ...all.map(it => it.value)))) > share)
    await tell('kill_api')
  }
  await tray.locator('[data-state=done]', { hasText: 'world.bin' }).waitFor()
  await wire.detach()
  const uploaded = await page.evaluate(async url => {
    const digest = await crypto.subtle.digest('SHA-256', await (await fetch(url)).arrayBuffer())
    return [...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, '0')).join('')
  }, `/api/instances/${id}/files/content?path=world.bin`)
  expect(uploaded === sha256, 'the large file is whole')
  expect(offsets.length >= 2 && offsets.every((offset, at) => offset > (offsets[at - 1] ?? -1)), `each part goes on where the last one was cut: ${offsets}`)

  // Several at once: packed, moved to another folder by its tree, found again.
  await add('New folder')
  await page.getByLabel('Name of the folder').fill('old 100%')
  await page.getByRole('button', { name: 'Make' }).click()
  await page.getByLabel('Select plugin.jar').check()
  await page.getByLabel('Select world.bin').check()
  await page.getByRole('button', { name: 'Move' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'old 100%', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Move' }).click()
  await page.getByRole('link', { name: 'plugin.jar' }).waitFor({ state: 'detached' })
  await page.getByRole('link', { name: 'old 100%' }).click()
  await page.getByLabel('Select plugin.jar').check()
  await page.getByRole('button', { name: 'Pack' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Pack' }).click()
  await page.getByRole('link', { name: 'plugin.jar.zip' }).waitFor()
  await page.getByRole('button', { name: 'Search', exact: true }).last().click()
  await page.getByLabel('A part of the name').fill('motd')
  await page.keyboard.press('Enter')
  await page.getByText('Nothing here is called that.').waitFor()
  // A public address only: this one is not.
  await add('From an address')
  await page.getByRole('textbox', { name: 'Address' }).fill('https://10.0.0.1/plugin.jar')
  await page.getByRole('button', { name: 'Fetch it' }).click()
  await tray.getByText(/private/).waitFor()

  // A backup, damage, and the restore.
  await page.getByRole('link', { name: 'Backups' }).click()
  await page.getByRole('button', { name: 'Back up now' }).click()
  await page.getByRole('button', { name: 'Restore' }).waitFor()
  expect((await put('broken', {})) === 200, 'damage')
  await until('nothing else is under way', async () => page.getByRole('button', { name: 'Restore' }).isEnabled())
  await page.getByRole('button', { name: 'Restore' }).click()
  const dialog = page.getByRole('dialog')
  expect(await dialog.getByRole('button', { name: 'Restore' }).isDisabled(), 'the name has to be typed first')
  await dialog.getByLabel(/Type/).fill('Überleben 🏰')
  await dialog.getByRole('button', { name: 'Restore' }).click()
  await until('the file is as it was', async () => (await get()).includes('world'))
  // The damage is kept as well: the box for a backup first was ticked.
  await page.getByText(/^Before /).waitFor()
  await until('nothing is under way', async () => page.getByRole('button', { name: 'Back up now' }).isEnabled())

  // The session ends in the middle of a form: what was typed stays, and is sent once the password was given.
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.getByLabel('Name').fill('Renamed')
  await mine.clearCookies()
  await page.getByRole('button', { name: 'Save' }).click()
  const again = page.getByRole('dialog', { name: 'Sign in again' })
  await again.getByLabel('Password').fill(password)
  await again.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Renamed', level: 1 }).waitFor()

  // Two tabs: what one does the other shows; and a server that is gone says so.
  const second = await mine.newPage()
  await second.goto('/')
  await second.getByRole('link', { name: 'Renamed' }).waitFor()
  // What it uses and who plays is on its card, within the time between two looks at all servers.
  await second.getByText(/^of \d+ players?$/).waitFor()
  await second.getByRole('progressbar', { name: /^Memory \d/ }).waitFor()
  await page.getByRole('button', { name: 'Delete this server' }).click()
  await page.getByRole('dialog').getByLabel(/Type/).fill('Renamed')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete this server' }).click()
  await second.getByText('No servers yet').waitFor()
  await second.goto(server)
  await second.getByText('This is not here, or not yours').waitFor()
  return {}
})
