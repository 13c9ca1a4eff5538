/** Fails the build when the first page takes more than it may: what a phone on a train has to load before it sees a server. */
import { brotliCompressSync } from 'node:zlib'
import type { Plugin } from 'vite'

/** JavaScript and CSS of the first load, brotli. */
const MOST_BYTES = 140_000

export function budget(): Plugin {
  return {
    name: 'zlh-budget',
    apply: 'build',
    generateBundle(_, bundle) {
      const first = new Set<string>()
      const follow = (name: string) => {
        const chunk = bundle[name]
        if (!chunk || first.has(name)) return
        first.add(name)
        if (chunk.type !== 'chunk') return
        chunk.imports.forEach(follow)
        chunk.viteMetadata?.importedCss.forEach(follow)
      }
      // The entry, in which the list of servers is.
      for (const chunk of Object.values(bundle)) {
        if (chunk.type === 'chunk' && chunk.isEntry) follow(chunk.fileName)
      }
      let bytes = 0
      for (const name of first) {
        const file = bundle[name]
        if (!file || name.endsWith('.html')) continue
        bytes += brotliCompressSync(Buffer.from(file.type === 'chunk' ? file.code : file.source)).length
      }
      const kilobytes = (bytes / 1000).toFixed(1)
      if (bytes > MOST_BYTES) this.error(`The first load takes ${kilobytes} kB of at most ${MOST_BYTES / 1000}: load something when it is wanted.`)
      this.info(`The first load takes ${kilobytes} kB of at most ${MOST_BYTES / 1000}.`)
    },
  }
}
