// A subscriber: buys a plan on the way to the first server, changes it, is declined, misses a payment through every stage, and
// pays. At each stage every page is looked at for what it still lets one do.
import { expect, run, signIn, tell, until } from './browser.mjs'

const REASONS = {
  new_instances: 'No new servers while a payment is open.',
  new_backups: 'No new backups while a payment is open.',
  upgrades: 'The plan stays as it is while a payment is open.',
  console: 'The console is closed while a payment is open.',
  file_writes: 'Files and backups can be read and downloaded while a payment is open',
}

/** Somebody who comes back from paying does not wait longer than this until the page says so. */
const SOON = { timeout: 20_000 }

await run(async ({ sandbox, email, password }, { context }) => {
  const page = await (await context()).newPage()
  await signIn(page, email, password)

  const button = (name, within = page) => within.getByRole('button', { name, exact: true })
  const tab = name => page.locator('nav.tabs').getByRole('link', { name }).click()
  const reason = gate => page.locator(`[data-unpaid=${gate}]`)
  const is = state => page.locator(`[data-state=${state}]`).first().waitFor()
  /** Cannot be pressed, and says why: to those who see it and to those who hear it. */
  const shut = async (what, gate) => {
    await reason(gate).getByText(REASONS[gate]).waitFor()
    await what.waitFor()
    expect(await what.isDisabled(), `${await what.innerText()} cannot be pressed`)
    expect((await what.getAttribute('aria-describedby')) === (await reason(gate).getAttribute('id')), `${await what.innerText()} says why`)
  }
  const free = async what => {
    await what.waitFor()
    expect(await what.isEnabled(), `${await what.innerText()} can be pressed`)
    expect((await page.locator('[data-unpaid]').count()) === 0, `nothing is blocked beside ${await what.innerText()}`)
  }
  /** On Stripe's page, by its button, with a card that pays. */
  const pay = async () => {
    await page.waitForURL(url => url.href.startsWith(sandbox))
    await button('Pay').click()
  }

  // Bought on the way to the server; what was chosen is there again afterwards.
  await page.getByRole('link', { name: 'New server' }).first().click()
  await page.getByText('Minecraft (flying-squid)').click()
  await page.locator('label.plan', { hasText: /^Small/ }).click()
  await page.getByLabel('Name').fill('Bought')
  expect((await button('Create server').count()) === 0, 'nothing is created before it is paid')
  await button('Continue to payment').click()
  await pay()
  await page.waitForURL(/\/billing\?checkout=/)
  await page.getByRole('status').getByText('Paid', { exact: true }).waitFor(SOON)
  await page.getByRole('link', { name: 'Create the server now' }).click()
  await page.getByText('Paid: create it now').waitFor()
  expect((await page.getByLabel('Name').inputValue()) === 'Bought', 'what was typed survives the payment')
  expect(await page.locator('label.plan', { hasText: /^Small/ }).getByRole('radio').isChecked(), 'the plan that was paid is chosen')
  await button('Create server').click()
  await page.waitForURL(/\/servers\//)
  const instance = page.url().split('/').at(-1)
  await is('running')

  // Another plan: its price, then the plan.
  const plan = page.locator('dt:text-is("Plan") + dd')
  const dialog = page.getByRole('dialog', { name: 'Another plan' })
  const want = async name => {
    await tab('Settings')
    await button('Change the plan', plan).click()
    expect(await button('Change the plan', dialog).isDisabled(), 'a plan has to be chosen first')
    await dialog.locator('label.plan', { hasText: new RegExp(`^${name}`) }).click()
  }
  await want('Medium')
  await dialog.getByText('€5.00 a month more. The difference for the rest of this month is paid now').waitFor()
  expect((await plan.innerText()).startsWith('Small'), 'nothing is changed before it is confirmed')
  await button('Change the plan', dialog).click()
  await dialog.waitFor({ state: 'detached' })
  await until('it has the new plan, and the change is over', async () => /^Medium\s+Change the plan$/.test(await plan.innerText()))
  await page.getByText('Medium plan', { exact: true }).waitFor()
  await is('running')

  // Declined: the dialog says so, and all is as it was.
  await tell('decline')
  await want('Large')
  await dialog.getByText('€9.00 a month more').waitFor()
  await button('Change the plan', dialog).click()
  await dialog.getByRole('alert').getByText(/declined/).waitFor()
  await button('Cancel', dialog).click()
  await page.reload()
  await plan.getByText('It could not become Large').waitFor()
  expect((await plan.innerText()).startsWith('Medium'), 'the plan stays')
  await page.getByText('Medium plan', { exact: true }).waitFor()
  await is('running')

  const content = `/api/instances/${instance}/files/content?path=kept.txt`
  expect((await page.evaluate(async url => (await fetch(url, { method: 'PUT', body: 'precious' })).status, content)) === 200, 'a file')
  const saved = () => page.evaluate(async url => (await fetch(url)).text(), content)
  const editor = page.getByRole('textbox', { name: 'kept.txt' })
  const console = page.getByRole('region', { name: 'Console' })
  const say = async text => {
    await tab('Console')
    await console.locator('[data-phase=live]').waitFor()
    await console.getByLabel('Command').fill(`say ${text}`)
    await console.getByLabel('Command').press('Enter')
    await console.getByText(`[Server] ${text}`).waitFor()
  }
  const runNow = async () => {
    await button('Run now: Nightly').click()
    await page.getByText('Started', { exact: true }).last().waitFor()
  }
  /** What became of the schedule's newest run, once it is over. */
  const ranAs = async text => {
    await button('Runs: Nightly').click()
    const newest = page.getByRole('dialog', { name: 'What became of' }).getByRole('listitem').first()
    await newest.getByText(text).waitFor()
    const said = await newest.innerText()
    await button('Close', page.getByRole('dialog')).click()
    return said
  }
  const backups = async () => (await page.evaluate(async id => (await (await fetch(`/api/instances/${id}/backups`)).json()).items, instance)).length
  /** Time passes; then what stands above every page. */
  const stage = async (name, ...says) => {
    await tell(name)
    await page.goto('/')
    const banner = page.locator('.banner')
    await page.locator(`.banner[data-stage=${name}]`).waitFor()
    for (const text of says) await banner.getByText(text).waitFor()
  }
  const openServer = () => page.getByRole('link', { name: 'Bought' }).first().click()

  // The payment failed: it is said, and everything works.
  await stage('payment_failed', 'Your last payment did not go through.', 'Everything works.')
  await free(page.getByRole('link', { name: 'New server' }).first())
  await openServer()
  await is('running')
  await free(button('Restart'))
  await say('still here')
  expect((await reason('console').count()) === 0, 'the console is open')
  await tab('Files')
  await page.getByRole('link', { name: 'kept.txt' }).click()
  await editor.press('Control+Home')
  await page.keyboard.type('Most ')
  await page.keyboard.press('Control+s')
  await until('what was typed is saved', async () => (await saved()) === 'Most precious')
  await tab('Schedules')
  await button('Back up every night').click()
  await page.getByRole('dialog').getByLabel('Name').fill('Nightly')
  await button('Make it').click()
  await runNow()
  await tab('Backups')
  await button('Restore').waitFor()
  await until('nothing else is under way', async () => button('Back up now').isEnabled())
  await free(button('Back up now'))
  await tab('Schedules')
  await ranAs('Done')
  await tab('Settings')
  await free(button('Change the plan', plan))

  // The final warning: nothing new, and what there is goes on.
  await stage('final_warning', 'New backups and new servers are paused.', 'Your servers stop')
  await shut(button('New server').first(), 'new_instances')
  await page.goto('/new')
  await page.getByText('No new servers while a payment is open. What you choose here stays.').waitFor()
  expect(await button('Create server').isDisabled(), 'nothing can be created')
  await page.goto('/')
  await openServer()
  await is('running')
  expect(await button('Restart').isEnabled(), 'the server can be restarted')
  await say('warned')
  expect((await reason('console').count()) === 0, 'the console stays open')
  await tab('Backups')
  await shut(button('Back up now'), 'new_backups')
  expect(await button('Restore').isEnabled(), 'a backup can be restored')
  await tab('Settings')
  await shut(button('Change the plan', plan), 'upgrades')

  // Suspended: it stands still, can be read, and nothing more.
  await stage('suspended', 'Your servers are stopped. Nothing of yours is deleted')
  await shut(button('New server').first(), 'new_instances')
  await openServer()
  await is('held')
  await until('it stands still', async () => (await page.evaluate(async id => (await (await fetch(`/api/instances/${id}/status`)).json()).state, instance)) === 'stopped')
  await page.locator('.note.warn', { hasText: 'Your files and backups are kept.' }).getByRole('link', { name: 'Pay' }).waitFor()
  expect(await button('Start').isDisabled(), 'the server cannot be started')
  await tab('Console')
  await reason('console').getByText(REASONS.console).waitFor()
  expect(await button('Send', console).isDisabled(), 'nothing can be sent')
  expect((await console.locator('[data-phase=live]').count()) === 0, 'the console is closed')
  await tab('Files')
  await reason('file_writes').getByText(REASONS.file_writes).waitFor()
  await page.getByRole('link', { name: 'kept.txt' }).click()
  await editor.getByText('Most precious').waitFor()
  expect((await button('New').count()) + (await page.getByTestId('upload').count()) + (await button('Save').count()) === 0, 'nothing can be made, uploaded or saved')
  await editor.press('Control+Home')
  await page.keyboard.type('Not ')
  await page.keyboard.press('Control+s')
  expect((await editor.innerText()).trim() === 'Most precious' && (await saved()) === 'Most precious', 'nothing is changed')
  await tab('Backups')
  await shut(button('Back up now'), 'new_backups')
  await shut(button('Restore'), 'file_writes')
  await tab('Schedules')
  await reason('new_backups').getByText(REASONS.new_backups).waitFor()
  await runNow()
  await tab('Settings')
  await shut(button('Change the plan', plan), 'upgrades')
  await tab('Schedules')
  const skipped = await ranAs('Skipped')
  expect(skipped.includes('A payment is open'), `the run says why: ${skipped}`)
  expect((await backups()) === 1, 'no backup was made')

  // Paid: it is back without anything pressed.
  await page.getByRole('link', { name: 'Billing', exact: true }).first().click()
  await page.locator('.stage[data-stage=suspended]').getByRole('link', { name: 'Pay €10.00 now' }).click()
  await pay()
  await page.getByText(/, paid, to pay: /).waitFor()
  await page.goto('/billing')
  await page.locator('.note.ok').getByText('Paid. What ran starts again by itself.').waitFor(SOON)
  await page.locator('.banner[data-stage=restored]').waitFor()
  await page.getByRole('link', { name: 'Servers' }).first().click()
  await free(page.getByRole('link', { name: 'New server' }).first())
  await openServer()
  await is('running')
  expect((await page.locator('.note.warn').count()) === 0, 'no hold is left')
  await say('back')
  expect((await saved()) === 'Most precious' && (await backups()) === 1, 'nothing was lost')
  await tab('Settings')
  await free(button('Change the plan', plan))
  await page.getByText('Medium plan', { exact: true }).waitFor()
  return { instance }
})
