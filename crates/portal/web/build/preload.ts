/** Names the code of the first page in the document, so that it is loaded beside the entry's and not after it. */
import type { Plugin } from 'vite'

/** What is behind the address without a path. */
const FIRST_PAGE = '/pages/Servers.tsx'

export function preload(): Plugin {
  return {
    name: 'zlh-preload',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const chunks = Object.values(bundle ?? {}).filter(it => it.type === 'chunk')
        const first = chunks.find(it => it.facadeModuleId?.endsWith(FIRST_PAGE))
        if (!first) return []
        const wanted = new Set<string>()
        const follow = (name: string) => {
          if (wanted.has(name)) return
          wanted.add(name)
          chunks.find(it => it.fileName === name)?.imports.forEach(follow)
        }
        follow(first.fileName)
        return [...wanted]
          .filter(name => !html.includes(name))
          .map(name => ({ tag: 'link', attrs: { rel: 'modulepreload', crossorigin: true, href: `/${name}` }, injectTo: 'head' as const }))
      },
    },
  }
}
