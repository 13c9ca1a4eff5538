// Stripe's own client buys, lists, changes and receives events at the sandbox, and prints what it saw as one line of JSON.
// node stripe.mjs BASE, where BASE is the sandbox's Stripe: http://127.0.0.1:9190/stripe
import { createServer } from 'node:http'
import Stripe from 'stripe'

const [base] = process.argv.slice(2)
const { hostname, port, pathname } = new URL(base)
// The client has no setting for a path before /v1.
const below = (url, init) => fetch(String(url).replace('/v1/', `${pathname}/v1/`), init)
const stripe = new Stripe('sk_test_sandbox', {
  host: hostname, port, protocol: 'http', httpClient: Stripe.createFetchHttpClient(below)
})
const seen = {}

/** What a call is refused with. */
async function refusal (call) {
  try {
    await call
    return null
  } catch (error) {
    return error
  }
}

const letters = []
const server = createServer((request, response) => {
  const pieces = []
  request.on('data', piece => pieces.push(piece))
  request.on('end', () => {
    letters.push({ body: Buffer.concat(pieces), signature: request.headers['stripe-signature'] })
    response.end()
  })
})
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
const hook = await stripe.webhookEndpoints.create({
  url: `http://127.0.0.1:${server.address().port}/`, enabled_events: ['checkout.session.completed']
})

const customer = await stripe.customers.create({ email: 'ada@example.org', metadata: { account: '7' } })
const session = await stripe.checkout.sessions.create({
  mode: 'subscription',
  customer: customer.id,
  line_items: [{ price: 'price_small', quantity: 1 }],
  success_url: 'http://shop.example/done?session={CHECKOUT_SESSION_ID}',
  cancel_url: 'http://shop.example/again',
  subscription_data: { metadata: { server: 'demo' } }
})
await fetch(session.url, { method: 'POST', body: new URLSearchParams({ do: 'pay' }), redirect: 'manual' })
const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ['subscription.latest_invoice.payments'] })
seen.paid = done.subscription.status
seen.period = done.subscription.items.data[0].current_period_end > done.subscription.created

for (let number = 0; number < 24; number++) await stripe.customers.create({ email: `${number}@example.org` })
const listed = new Set()
for await (const one of stripe.customers.list({ limit: 10 })) listed.add(one.id)
seen.listed = listed.size

const options = { idempotencyKey: 'change-1' }
const [one, other] = [
  await stripe.customers.update(customer.id, { name: 'Ada' }, options),
  await stripe.customers.update(customer.id, { name: 'Ada' }, options)
]
seen.sameCustomer = one.id === other.id && other.lastResponse.headers.get('idempotent-replayed') === 'true'
seen.otherParameters = (await refusal(stripe.customers.update(customer.id, { name: 'Eve' }, options)))?.type

const card = await refusal(stripe.paymentMethods.attach('pm_card_chargeDeclined', { customer: customer.id }))
seen.declined = [card?.type, card?.code, card?.decline_code]
const missing = await refusal(stripe.customers.retrieve('cus_none'))
seen.missing = [missing?.type, missing?.statusCode]

// The client tries again by itself, with the same key.
await fetch(new URL('/_faults', base), {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ path_prefix: `${pathname}/v1/products`, kind: 'lost', times: 1 })
})
await stripe.products.create({ name: 'Once' })
const products = await stripe.products.list()
seen.limited = products.data.filter(product => product.name === 'Once').length === 1 ? 'retried' : 'twice'

const clock = await stripe.testHelpers.testClocks.create({ frozen_time: 1800000000 })
let advanced = await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: 1800003600 })
while (advanced.status !== 'ready') advanced = await stripe.testHelpers.testClocks.retrieve(clock.id)
seen.advanced = advanced.status

while (letters.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
const { body, signature } = letters[0]
seen.event = stripe.webhooks.constructEvent(body, signature, hook.secret).type
try {
  stripe.webhooks.constructEvent(body, signature, 'whsec_other')
} catch (error) {
  seen.forged = error.type
}
server.close()
console.log(JSON.stringify(seen))
