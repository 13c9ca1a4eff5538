/** Makes `.br` and `.gz` beside each file of the build that gets smaller by it, so that no request has to compress. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

/** Below this size a compressed copy saves nothing that matters. */
const WORTH_IT = 512
const COMPRESSIBLE = /\.(?:js|css|html|svg|json)$/

const brotli = (bytes: Buffer) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } })

export function compress(): Plugin {
  let folder = ''
  return {
    name: 'zlh-compress',
    apply: 'build',
    configResolved: config => {
      folder = config.build.outDir
    },
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name)
        if (!entry.isFile() || !COMPRESSIBLE.test(path)) continue
        const bytes = readFileSync(path)
        if (bytes.length < WORTH_IT) continue
        writeFileSync(`${path}.br`, brotli(bytes))
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }))
      }
    },
  }
}
