// Bundles the server and what it needs of node_modules into one file: quick to unpack, quick to start.
// node bundle.mjs OUTFILE, in a folder where `npm ci` has run.
import { build } from 'esbuild'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

// 1.16.5, and the versions that the libraries look up for it. All versions together are 440 MB.
const versions = ['1.16', '1.16.1', '1.16.5']

// minecraft-data's index of everything, cut down to these versions.
function minecraftData (file) {
  const data = 'minecraft-data/data'
  const paths = JSON.parse(readFileSync(join(dirname(file), data, 'dataPaths.json'), 'utf8')).pc
  const one = version => {
    const parts = Object.entries(paths[version])
      .map(([part, folder]) => [part, `./${data}/${folder}/${part}.json`])
      .filter(([, path]) => existsSync(join(dirname(file), path)))
    return `'${version}': {${parts.map(([part, path]) => `get ${part} () { return require('${path}') }`)}}`
  }
  return `module.exports = { pc: {${versions.map(one)}}, bedrock: {} }`
}

// flying-squid finds its built-in plugins by reading its folder; external ones come from folders we do not have.
function plugins (file) {
  const names = readdirSync(dirname(file)).filter(name => name.endsWith('.js')).sort()
  const used = names.filter(name => name !== 'index.js' && name !== 'external.js')
  return `exports.initPlugins = () => { exports.builtinPlugins = [${used.map(name => `require('./${name}')`)}] }`
}

// A module's name put together at run time: a bundler has to be shown both.
function bitArrays (file) {
  const folder = 'prismarine-chunk/src/pc/common/BitArray'
  return readFileSync(file, 'utf8')
    .replace(/require\(`[^`]*BitArray\$\{(\w+) [^`]*`\)/, `($1 ? require('${folder}NoSpan') : require('${folder}'))`)
}

const replaced = new Map([
  [resolve('node_modules/minecraft-data/data.js'), minecraftData],
  [resolve('node_modules/flying-squid/src/lib/plugins/index.js'), plugins],
  [resolve('node_modules/prismarine-provider-anvil/src/1.14/chunk.js'), bitArrays]
])
const missing = new Set(replaced.keys())

const { warnings } = await build({
  entryPoints: ['start.js'],
  outfile: process.argv[2],
  bundle: true,
  platform: 'node',
  target: 'node18',
  minifyWhitespace: true,
  logLevel: 'error',
  logOverride: { 'unsupported-require-call': 'warning' },
  plugins: [{
    name: 'replace',
    setup (build) {
      build.onLoad({ filter: /\.js$/ }, ({ path }) => {
        const replace = replaced.get(path)
        if (!replace) return null
        missing.delete(path)
        return { contents: replace(path), loader: 'js' }
      })
    }
  }]
})
// World generators of other packages, which our settings do not name.
const harmless = 'node_modules/flying-squid/src/lib/plugins/world.js'
const unbundled = warnings.filter(({ location }) => location?.file !== harmless)
if (unbundled.length > 0) throw new Error(JSON.stringify(unbundled, null, 2))
if (missing.size > 0) throw new Error(`not met while bundling: ${[...missing].join(', ')}`)
