/** Colours of terminals (SGR, ECMA-48): text in pieces, each with a class. Everything else that moves a cursor is left out. */

export type Piece = { text: string; className: string }

const COLOURS = ['d', 'e', 'o', 'w', 'n', 'h', 'n', '']
// eslint-disable-next-line no-control-regex
const SEQUENCE = /\u001b\[([0-9;]*)([A-Za-z])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-_]/g

export function pieces(text: string): Piece[] {
  const found: Piece[] = []
  let colour = ''
  let bold = false
  let from = 0
  const add = (to: number) => {
    if (to > from) found.push({ text: text.slice(from, to), className: [colour, bold && 'strong'].filter(Boolean).join(' ') })
  }
  for (const match of text.matchAll(SEQUENCE)) {
    add(match.index)
    from = match.index + match[0].length
    if (match[2] !== 'm') continue
    const codes = (match[1] || '0').split(';').map(Number)
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at] ?? 0
      if (code === 0) [colour, bold] = ['', false]
      else if (code === 1) bold = true
      else if (code === 22) bold = false
      else if (code === 39) colour = ''
      else if (code >= 30 && code <= 37) colour = COLOURS[code - 30] ?? ''
      else if (code >= 90 && code <= 97) colour = COLOURS[code - 90] ?? ''
      // Of 256 colours and of true ones: their arguments are not codes of their own.
      else if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4
    }
  }
  add(text.length)
  return found
}

/** The text without its colours: for searching, copying and downloading. */
export const plain = (text: string) => text.replace(SEQUENCE, '')
