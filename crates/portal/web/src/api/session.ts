/** Whether somebody is signed in. When the session ends under a page, the page stays, a dialog asks for the password, and
 * whoever waits for [`ended`] goes on once it was given. */

type Listener = () => void

class Session {
  #known = false
  #over = false
  #waiting: (() => void)[] = []
  #listeners = new Set<Listener>()

  /** Whether the page's session has ended, so that it asks for the password. */
  get isOver(): boolean {
    return this.#over
  }

  /** Whether anybody was signed in on this page: only a session that was there can end. */
  get isKnown(): boolean {
    return this.#known
  }

  began(): void {
    this.#known = true
  }

  /** A request was answered with 401. Resolves when somebody has signed in again. */
  ended(): Promise<void> {
    this.#set(true)
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  /** Somebody has signed in. */
  resumed(): void {
    this.#known = true
    this.#set(false)
    this.#waiting.splice(0).forEach(resolve => resolve())
  }

  subscribe = (listener: Listener): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #set(over: boolean): void {
    this.#over = over
    this.#listeners.forEach(listener => listener())
  }
}

export const session = new Session()
