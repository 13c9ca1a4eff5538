import { describe, expect, it } from 'vitest'
import { DEADLINE_MS, initial, MOST_ENTRIES, reduce, type Console, type Effect, type Event } from './machine'

function run(state: Console, ...events: Event[]): { state: Console; effects: Effect[] } {
  let effects: readonly Effect[] = []
  for (const event of events) [state, effects] = reduce(state, event)
  return { state, effects: [...effects] }
}

const hello = (next: number, first = 1): Event => ({ type: 'message', message: { type: 'hello', state: null, mode: 'pipes', first, next } })
const output = (...seqs: number[]): Event => ({
  type: 'message',
  message: { type: 'output', entries: seqs.map(seq => ({ seq, at: '2026-01-01T00:00:00Z', text: `line ${seq}` })) },
})
const error = (code: string, detail: string): Event => ({ type: 'message', message: { type: 'error', code, detail, fatal: true } })
const closed = (code: number): Event => ({ type: 'closed', code })
const open: Event = { type: 'open' }
const lines = (state: Console) => state.entries.map(it => (it.kind === 'line' ? it.seq : it.kind))
const live = run(initial, open, hello(1)).state

describe('the console', () => {
  it('connects under a deadline', () => {
    const { state, effects } = run(initial, open)
    expect(state.phase.name).toBe('connecting')
    expect(effects.map(it => it.type)).toEqual(['clear_timers', 'disconnect', 'connect', 'start_deadline'])
    expect(effects).toContainEqual({ type: 'start_deadline', ms: DEADLINE_MS })
  })

  it('never stays connecting: the deadline leads to a pause, and the pause to another try', () => {
    const late = run(initial, open, { type: 'deadline' })
    expect(late.state.phase).toMatchObject({ name: 'reconnecting', attempt: 1, reason: 'deadline' })
    expect(late.effects.map(it => it.type)).toEqual(['clear_timers', 'disconnect', 'start_pause'])
    expect(run(late.state, { type: 'retry' }).state.phase.name).toBe('connecting')
  })

  it('is live after hello, with no timer left', () => {
    const { state, effects } = run(initial, open, hello(1))
    expect(state.phase.name).toBe('live')
    expect(effects).toEqual([{ type: 'clear_timers' }])
  })

  it('waits longer after each failure and forgets them once it was live', () => {
    let state = run(initial, open).state
    const pauses: number[] = []
    for (let n = 0; n < 8; n++) {
      state = run(state, closed(1006)).state
      if (state.phase.name === 'reconnecting') pauses.push(state.phase.pauseMs)
      state = run(state, { type: 'retry' }).state
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    state = run(state, hello(1), closed(1006)).state
    expect(state.phase).toMatchObject({ name: 'reconnecting', attempt: 1 })
  })

  it('comes back at once when the API restarts', () => {
    expect(run(live, closed(1012)).effects).toContainEqual({ type: 'start_pause', ms: 0 })
  })

  it.each([4400, 4401, 4404, 4408, 4423, 4429, 1009])('does not try again after %i, and says why', code => {
    const { state, effects } = run(live, error('why', 'Because.'), closed(code))
    expect(state.phase).toEqual({ name: 'closed', reason: 'Because.', code: 'why' })
    expect(effects.map(it => it.type)).toEqual(['clear_timers', 'disconnect'])
    expect(run(state, { type: 'retry' }).state.phase.name).toBe('connecting')
  })

  it.each([
    ['idle', initial],
    ['connecting', run(initial, open).state],
    ['live', live],
    ['reconnecting', run(live, closed(1006)).state],
    ['closed', run(live, closed(4404)).state],
  ])('leaves %s without a socket or a timer', (_, state) => {
    const left = run(state, { type: 'leave' })
    expect(left.state.phase.name).toBe('idle')
    expect(left.effects.map(it => it.type)).toEqual(['clear_timers', 'disconnect'])
  })

  it('hears nothing of a socket that it has left', () => {
    const waiting = run(live, closed(1006)).state
    expect(run(waiting, output(1), closed(1000), { type: 'deadline' }).state).toEqual(waiting)
  })

  it('shows every line once through a reconnection', () => {
    const { state } = run(live, output(1, 2, 3), closed(1006), { type: 'retry' }, hello(6), output(2, 3, 4, 5))
    expect(lines(state)).toEqual([1, 2, 3, 4, 5])
    expect(state.next).toBe(6)
  })

  it('shows a gap as an element, and goes on behind it', () => {
    const gap: Event = { type: 'message', message: { type: 'gap', from: 2, to: 9 } }
    const { state } = run(live, output(1), gap, output(10))
    expect(lines(state)).toEqual([1, 'gap', 10])
  })

  it('says when the console began anew, and takes the smaller numbers', () => {
    const { state } = run(live, output(100, 101), closed(1006), { type: 'retry' }, hello(3), output(1, 2))
    expect(lines(state)).toEqual([100, 101, 'anew', 1, 2])
  })

  it('keeps input that was not confirmed, with the reason', () => {
    const sent = run(live, { type: 'send', text: 'list' })
    expect(sent.effects).toEqual([{ type: 'say', id: 1, text: 'list' }])
    const refused = run(sent.state, { type: 'message', message: { type: 'input_result', id: 1, ok: false, detail: 'It is stopped.' } })
    expect(refused.state.pending).toEqual([{ id: 1, text: 'list', error: 'It is stopped.' }])
    const taken = run(sent.state, { type: 'message', message: { type: 'input_result', id: 1, ok: true } })
    expect(taken.state.pending).toEqual([])
  })

  it('sends nothing while it is not live', () => {
    expect(run(initial, open, { type: 'send', text: 'list' }).effects).toEqual([])
  })

  it('keeps a bounded number of lines', () => {
    const many = run(live, output(...Array.from({ length: MOST_ENTRIES + 10 }, (_, n) => n + 1)))
    expect(many.state.entries.length).toBe(MOST_ENTRIES)
    expect(lines(many.state)[0]).toBe(11)
  })

  it('forgets a refusal once the same was said after all', () => {
    const result = (id: number, ok: boolean): Event => ({ type: 'message', message: { type: 'input_result', id, ok, detail: 'Away.' } })
    const send = (text: string): Event => ({ type: 'send', text })
    const { state } = run(live, send('list'), result(1, false), send('other'), result(2, true))
    expect(state.pending).toMatchObject([{ id: 1, error: 'Away.' }])
    expect(run(state, send('list'), result(3, true)).state.pending).toEqual([])
  })

  it('tells a terminal its size when it is drawn, and again whenever the console comes back', () => {
    const resize: Event = { type: 'resize', columns: 120, rows: 40 }
    expect(run(live, resize).effects).toEqual([{ type: 'tell_size', columns: 120, rows: 40 }])
    expect(run(initial, resize).effects).toEqual([])
    const back: Event = { type: 'message', message: { type: 'hello', state: null, mode: 'pty', first: 1, next: 1 } }
    const { effects } = run(live, resize, closed(1006), { type: 'retry' }, back)
    expect(effects).toContainEqual({ type: 'tell_size', columns: 120, rows: 40 })
  })
})
