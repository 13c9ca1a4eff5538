/** A line over time. Hovering shows the value of a moment; to a screen reader it is one sentence. */
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { minute } from '../model/format'
import { en } from '../text/en'

export type Point = { at: number; value: number | null }

type Props = {
  points: Point[]
  /** All that there can be; the line is taller than this only when more was used. */
  most: number
  from: number
  until: number
  words: (value: number) => string
  label: string
}

const HEIGHT = 56

export default function Graph({ points, most, from, until, words, label }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const drawn = useRef({ from, until, most })
  const [hovered, hover] = useState<number | null>(null)

  useEffect(() => {
    const node = host.current
    if (!node) return
    const colour = (name: string) => getComputedStyle(node).getPropertyValue(name).trim()
    // Resolved by the browser for the theme of the moment.
    const resolved = () => getComputedStyle(node).color
    const made = new uPlot(
      {
        width: node.clientWidth,
        height: HEIGHT,
        padding: [4, 0, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
        scales: {
          x: { time: true, range: () => [drawn.current.from / 1000, drawn.current.until / 1000] },
          y: { range: (_, __, highest) => [0, Math.max(drawn.current.most, highest ?? 0)] },
        },
        axes: [{ show: false }, { show: true, size: 0, ticks: { show: false }, values: () => [], grid: { stroke: () => colour('--graph-grid'), width: 1 } }],
        series: [{}, { stroke: resolved, width: 1.75, fill: () => `color-mix(in oklab, ${resolved()} 12%, transparent)`, points: { show: false } }],
        hooks: { setCursor: [self => hover(self.cursor.idx ?? null)] },
      },
      [[], []],
      node,
    )
    plot.current = made
    const resize = new ResizeObserver(() => made.setSize({ width: node.clientWidth, height: HEIGHT }))
    resize.observe(node)
    const theme = new MutationObserver(() => made.redraw())
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      resize.disconnect()
      theme.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [])

  useEffect(() => {
    drawn.current = { from, until, most }
    plot.current?.setData([points.map(it => it.at / 1000), points.map(it => it.value)])
  }, [points, from, until, most])

  const known = points.flatMap(it => (it.value === null ? [] : [it.value]))
  const sentence = known.length === 0 ? label : `${label}: ${words(Math.min(...known))} – ${words(Math.max(...known))}`
  const point = hovered === null ? undefined : points[hovered]
  return (
    <div className="plot" role="img" aria-label={sentence}>
      <div ref={host} />
      {point && point.value !== null && (
        <span className="plot-tip t-12" aria-hidden="true">
          {en.server.atMinute(minute(point.at), words(point.value))}
        </span>
      )}
    </div>
  )
}
