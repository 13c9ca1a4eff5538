// What the Portal costs: what the first load weighs, when a phone on a slow line sees servers, and what an hour of console
// output keeps in memory.
import { expect, run, until } from './browser.mjs'

/** A slow line as Lighthouse has it, and a processor a quarter as fast. */
const SLOW = { offline: false, latency: 150, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 }
const SLOWER = 4
const RUNS = 3
/** At 28 lines a second, what a talkative server prints in an hour. */
const LINES = 100_000

const median = values => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

await run(async ({ portal, cookie, instance }, { context: plain }) => {
  const [name, value] = cookie.split('=')
  const context = async options => {
    const made = await plain(options)
    await made.addCookies([{ name, value, url: portal }])
    return made
  }

  const weight = new Map()
  const cold = await (await context()).newPage()
  const wire = await cold.context().newCDPSession(cold)
  await wire.send('Network.enable')
  const kinds = new Map()
  wire.on('Network.responseReceived', ({ requestId, type }) => kinds.set(requestId, type))
  wire.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const kind = kinds.get(requestId) ?? 'Other'
    weight.set(kind, (weight.get(kind) ?? 0) + encodedDataLength)
  })
  await cold.goto('/')
  await cold.getByRole('heading', { name: 'Servers', level: 1 }).waitFor()
  await cold.getByRole('article').first().waitFor()
  const kilobytes = (...types) => types.reduce((sum, type) => sum + (weight.get(type) ?? 0), 0) / 1000

  const frames = []
  const paints = []
  const blocks = []
  for (let n = 0; n < RUNS; n++) {
    const made = await context({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true })
    const page = await made.newPage()
    const slow = await made.newCDPSession(page)
    await slow.send('Network.enable')
    await slow.send('Network.emulateNetworkConditions', SLOW)
    await slow.send('Emulation.setCPUThrottlingRate', { rate: SLOWER })
    await page.addInitScript(() => {
      globalThis.seen = { frame: 0, paint: 0, blocked: 0 }
      new PerformanceObserver(list => list.getEntries().forEach(it => (globalThis.seen.paint = it.startTime))).observe({ type: 'largest-contentful-paint', buffered: true })
      new PerformanceObserver(list => list.getEntriesByName('first-contentful-paint').forEach(it => (globalThis.seen.frame = it.startTime))).observe({ type: 'paint', buffered: true })
      // Of each long task, what is beyond the 50 ms that nobody notices.
      new PerformanceObserver(list => list.getEntries().forEach(it => (globalThis.seen.blocked += it.duration - 50))).observe({ type: 'longtask', buffered: true })
    })
    await page.goto('/')
    // Nothing looks for anything meanwhile: on a processor this slow, the looking would be measured.
    await page.waitForTimeout(8_000)
    expect(await page.getByRole('article').first().isVisible(), 'a server is shown')
    const seen = await page.evaluate(() => globalThis.seen)
    frames.push(seen.frame)
    paints.push(seen.paint)
    blocks.push(seen.blocked)
    await made.close()
  }

  const page = await (await context()).newPage()
  const heap = await page.context().newCDPSession(page)
  await heap.send('Performance.enable')
  const megabytes = async () => {
    await heap.send('HeapProfiler.collectGarbage')
    const { metrics } = await heap.send('Performance.getMetrics')
    return metrics.find(it => it.name === 'JSHeapUsedSize').value / 1e6
  }
  await page.goto(`/servers/${instance}/console`)
  const console = page.getByRole('region', { name: 'Console' })
  await console.locator('[data-phase=live]').waitFor()
  const before = await megabytes()
  await console.getByLabel('Command').fill(`count ${LINES}`)
  await console.getByLabel('Command').press('Enter')
  const lastDrawn = async () => Number((await console.locator('[data-seq]').last().getAttribute('data-seq')) ?? 0)
  await until('all lines are there', async () => (await lastDrawn()) >= LINES)
  const after = await megabytes()
  const drawn = await console.locator('[data-seq]').count()

  return {
    measured: {
      scripts: kilobytes('Script'),
      styles: kilobytes('Stylesheet'),
      font: kilobytes('Font'),
      document: kilobytes('Document'),
      data: kilobytes('Fetch', 'XHR', 'Other'),
      frame: median(frames) / 1000,
      paint: median(paints) / 1000,
      blocked: median(blocks),
      before,
      after,
      drawn,
    },
  }
})
