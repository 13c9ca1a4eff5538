// Starts flying-squid with the settings in the file named by the first argument. Bundled with it, so no strict mode:
// flying-squid counts on assignments that strict mode refuses.
const fs = require('fs')
const readline = require('readline')

// For its authors, not for who runs it.
process.noDeprecation = true

// Its log is read by an agent, not on a terminal: no cursor movements and no prompt.
readline.cursorTo = () => true
const createInterface = readline.createInterface
readline.createInterface = ({ input }) => createInterface({ input, terminal: false })

const { createMCServer } = require('flying-squid')

const settings = JSON.parse(fs.readFileSync(process.argv[2] ?? 'settings.json', 'utf8'))
const version = settings.version ?? '1.16.5'

const server = createMCServer({
  motd: 'A server of ZLH',
  port: 25565,
  'max-players': 20,
  'online-mode': false,
  logging: false,
  gameMode: 1,
  difficulty: 1,
  generation: { name: 'superflat', options: {} },
  kickTimeout: 10000,
  plugins: {},
  modpe: false,
  'view-distance': 6,
  'player-list-text': { header: { text: settings.motd ?? '' }, footer: { text: '' } },
  'everybody-op': false,
  'max-entities': 100,
  worldFolder: `world/${version}`,
  ...settings,
  version
})

// A port that is taken and the like: nothing is served, so the agent is to see it end.
server.on('error', error => {
  console.error(error.stack ?? String(error))
  if (!server.isReady) process.exit(1)
})

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => server.quit('Server closed').then(() => process.exit(0)))
}
