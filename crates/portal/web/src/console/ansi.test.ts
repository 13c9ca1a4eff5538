import { expect, it } from 'vitest'
import { pieces, plain } from './ansi'

it('gives coloured text in pieces', () => {
  expect(pieces('a \u001b[31mred\u001b[0m b')).toEqual([
    { text: 'a ', className: '' },
    { text: 'red', className: 'e' },
    { text: ' b', className: '' },
  ])
})

it('does not take the arguments of a true colour for codes', () => {
  expect(pieces('\u001b[38;2;31;1;32mx')).toEqual([{ text: 'x', className: '' }])
  expect(pieces('\u001b[38;5;31mx\u001b[1my')).toEqual([
    { text: 'x', className: '' },
    { text: 'y', className: 'strong' },
  ])
})

it('leaves out what moves the cursor or names the window', () => {
  expect(plain('\u001b[2J\u001b]0;title\u0007a\u001b[1;1Hb')).toBe('ab')
})
