// Joins a Minecraft server as a player, chats, and prints what happened as one line of JSON.
// node join.mjs HOST PORT [VERSION] [DEADLINE_MS] — exit code 0 when the chat came back, else 1.
// With "dns:ADDRESS:PORT" as PORT, the host is a name and that name server is asked for its service record and its address.
import { Resolver } from 'node:dns/promises'
import { connect } from 'node:net'
import mineflayer from 'mineflayer'

const [host, port, version = '1.16.5', deadline = '15000'] = process.argv.slice(2)

/** Where a client that is given the name alone connects. */
async function place () {
  if (!port.startsWith('dns:')) return { address: host, port: Number(port) }
  const resolver = new Resolver({ timeout: 2000, tries: 1 })
  resolver.setServers([port.slice('dns:'.length)])
  const [service] = await resolver.resolveSrv(`_minecraft._tcp.${host}`)
  const [address] = await resolver.resolve4(service.name)
  return { address, port: service.port }
}
const found = await place().catch(error => {
  console.log(JSON.stringify({ joined: false, chatted: false, error: String(error.message) }))
  process.exit(1)
})
const message = `hello ${process.pid}`
const begun = Date.now()
const result = { joined: false, chatted: false, error: null }

const bot = mineflayer.createBot({
  host,
  port: found.port,
  connect: client => client.setSocket(connect(found.port, found.address)),
  version,
  username: `zlh${process.pid}`,
  auth: 'offline',
  hideErrors: true
})

function finish (error = null) {
  result.error = error && String(error.message ?? error)
  result.ms = Date.now() - begun
  console.log(JSON.stringify(result))
  process.exit(error ? 1 : 0)
}

setTimeout(() => finish(`nothing within ${deadline} ms`), Number(deadline))
bot.once('spawn', () => {
  result.joined = true
  bot.chat(message)
})
bot.on('messagestr', text => {
  if (!text.includes(message)) return
  result.chatted = true
  bot.once('end', () => finish())
  bot.quit()
})
bot.on('kicked', reason => finish(`kicked: ${reason}`))
bot.on('error', finish)
