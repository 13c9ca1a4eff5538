/** xterm 6 makes style elements and style attributes, which the policy refuses. The places are rewritten to what it allows,
 * and the build fails when they are not there any more. */
import type { Plugin } from 'vite'

const EDITS: [RegExp, string, number][] = [
  [/[\w.]+\.createElement\("style"\)/g, 'globalThis.zlhStyleElement()', 3],
  [/(\w+)\.setAttribute\("style",(`[^`]*`)\)/g, '($1.style.cssText=$2)', 1],
]

export function xterm(): Plugin {
  return {
    name: 'zlh-xterm',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('@xterm/xterm/lib/xterm.mjs')) return null
      return EDITS.reduce((text, [pattern, replacement, count]) => {
        const found = text.match(pattern)?.length ?? 0
        if (found !== count) this.error(`xterm has ${found} places for ${pattern}, not ${count}: look at it anew.`)
        return text.replace(pattern, replacement)
      }, code)
    },
  }
}
