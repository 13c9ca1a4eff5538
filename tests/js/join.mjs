// Joins a Minecraft server as a player, chats, and prints what happened as one line of JSON.
// node join.mjs HOST PORT [VERSION] [DEADLINE_MS] — exit code 0 when the chat came back, else 1.
import mineflayer from 'mineflayer'

const [host, port, version = '1.16.5', deadline = '15000'] = process.argv.slice(2)
const message = `hello ${process.pid}`
const begun = Date.now()
const result = { joined: false, chatted: false, error: null }

const bot = mineflayer.createBot({
  host,
  port: Number(port),
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
