/** The sign of what runs on a server. */
import { Box, Crosshair, Gamepad2, Mountain, SquareTerminal, type LucideIcon } from 'lucide-react'
import { classes } from './parts'

const KNOWN: [RegExp, LucideIcon, string][] = [
  [/^minecraft/, Box, 'mc'],
  [/^(luanti|minetest)/, Mountain, 'lu'],
  [/^teeworlds/, Crosshair, 'tw'],
]

export function GameTile({ blueprint, kind, large }: { blueprint: string; kind: 'game' | 'dev'; large?: boolean }) {
  const [, Drawing, tone] = KNOWN.find(([name]) => name.test(blueprint)) ?? [null, kind === 'dev' ? SquareTerminal : Gamepad2, kind === 'dev' ? 'py' : '']
  return (
    <span className={classes('tile', tone, large && 'lg')}>
      <Drawing aria-hidden="true" />
    </span>
  )
}
