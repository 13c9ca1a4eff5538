/** Carries out what the state machine decides: one socket and two timers at most, all ended with the page. */
import { initial, reduce, type Console, type Effect, type Event, type Message, type Output } from './machine'

/** How often output is handed on, at most. */
const DRAW_EVERY_MS = 50
/** Of the time, the page is busy with drawing for at most the part that this leaves: what comes has to be read as well. */
const REST = 3

export class ConsoleDriver {
  #state: Console = initial
  #socket: WebSocket | null = null
  #timers: ReturnType<typeof setTimeout>[] = []
  #waiting: Output[] = []
  #drawMs = 0
  #flushing: ReturnType<typeof setTimeout> | undefined
  #listeners = new Set<() => void>()
  readonly #url: string

  constructor(instance: string) {
    this.#url = `${location.origin.replace(/^http/, 'ws')}/api/instances/${instance}/console`
  }

  get = () => this.#state

  subscribe = (listener: () => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Opens, and comes back when the tab or the network does. Returns what ends it. */
  start(): () => void {
    const back = () => document.visibilityState === 'visible' && this.#isWaiting() && this.send({ type: 'retry' })
    addEventListener('online', back)
    document.addEventListener('visibilitychange', back)
    this.send({ type: 'open' })
    return () => {
      removeEventListener('online', back)
      document.removeEventListener('visibilitychange', back)
      this.send({ type: 'leave' })
    }
  }

  send = (event: Event): void => {
    const [state, effects] = reduce(this.#state, event, Math.random())
    this.#state = state
    effects.forEach(effect => this.#do(effect))
    this.#listeners.forEach(listener => listener())
  }

  #isWaiting = () => this.#state.phase.name === 'reconnecting'

  #do(effect: Effect): void {
    switch (effect.type) {
      case 'connect':
        this.#connect()
        break
      case 'disconnect':
        this.#disconnect()
        break
      case 'say':
        this.#socket?.send(JSON.stringify({ type: 'input', id: effect.id, text: effect.text }))
        break
      case 'tell_size':
        this.#socket?.send(JSON.stringify({ type: 'resize', columns: effect.columns, rows: effect.rows }))
        break
      case 'start_deadline':
        this.#timers.push(setTimeout(() => this.send({ type: 'deadline' }), effect.ms))
        break
      case 'start_pause':
        this.#timers.push(setTimeout(() => this.send({ type: 'retry' }), effect.ms))
        break
      case 'clear_timers':
        this.#timers.splice(0).forEach(clearTimeout)
        break
    }
  }

  #connect(): void {
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    // A socket that is ours no more has nothing to say.
    const ours = (act: () => void) => () => socket === this.#socket && act()
    socket.onopen = ours(() => {
      // On with the line after the last one that was seen.
      const { next } = this.#state
      socket.send(JSON.stringify({ type: 'resume', ...(next !== null && { from: next }) }))
    })
    socket.onmessage = event => ours(() => this.#take(JSON.parse(event.data as string)))()
    socket.onclose = event =>
      ours(() => {
        this.#flush()
        this.#socket = null
        this.send({ type: 'closed', code: event.code })
      })()
  }

  /** Output is drawn some times a second, however often it comes: each drawing costs the more the more there is. */
  #take(message: Message): void {
    if (message.type !== 'output') {
      this.#flush()
      this.send({ type: 'message', message })
      return
    }
    this.#waiting.push(...message.entries)
    this.#flushing ??= setTimeout(() => this.#flush(), Math.max(DRAW_EVERY_MS, this.#drawMs * REST))
  }

  #flush(): void {
    clearTimeout(this.#flushing)
    this.#flushing = undefined
    const entries = this.#waiting.splice(0)
    if (entries.length === 0) return
    const began = performance.now()
    this.send({ type: 'message', message: { type: 'output', entries } })
    // Drawn when the frame after it is over.
    requestAnimationFrame(() => setTimeout(() => (this.#drawMs = performance.now() - began)))
  }

  #disconnect(): void {
    this.#flush()
    const socket = this.#socket
    this.#socket = null
    socket?.close(1000)
  }
}
