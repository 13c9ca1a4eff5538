/** A list that belongs to the window rather than to a page, and that pages watch. */
export class Watched<T extends { id: number }> {
  #items: readonly T[] = []
  #newest = 0
  #listeners = new Set<() => void>()

  get = () => this.#items

  subscribe = (listener: () => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  protected add(...fresh: Omit<T, 'id'>[]): T[] {
    const added = fresh.map(it => ({ ...it, id: ++this.#newest }) as T)
    this.#set([...this.#items, ...added])
    return added
  }

  protected change(id: number, some: Partial<T>): void {
    this.#set(this.#items.map(it => (it.id === id ? { ...it, ...some } : it)))
  }

  protected keep(which: (item: T) => boolean): void {
    this.#set(this.#items.filter(which))
  }

  #set(items: readonly T[]): void {
    this.#items = items
    this.#listeners.forEach(listener => listener())
  }
}

/** One for each server, made when it is first asked for. */
export function perServer<T>(make: (instance: string) => T): (instance: string) => T {
  const all = new Map<string, T>()
  return instance => {
    const made = all.get(instance) ?? make(instance)
    all.set(instance, made)
    return made
  }
}
