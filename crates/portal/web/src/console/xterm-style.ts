/** What the build puts in the place of xterm's style elements, which the policy refuses: a sheet of the document's own. */

type StyleElement = HTMLElement & { textContent: string }

declare global {
  var zlhStyleElement: (() => StyleElement) | undefined
}

export function installStyleElement(): void {
  globalThis.zlhStyleElement ??= () => {
    const element = document.createElement('span') as unknown as StyleElement
    const sheet = new CSSStyleSheet()
    element.hidden = true
    document.adoptedStyleSheets.push(sheet)
    Object.defineProperty(element, 'textContent', {
      set: (css: string) => {
        sheet.replaceSync(css)
      },
    })
    element.remove = () => {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter(it => it !== sheet)
      Element.prototype.remove.call(element)
    }
    return element
  }
}
