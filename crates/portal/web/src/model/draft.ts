/** What somebody has typed and not sent, kept on the device until it was. */
export type Draft<T> = { read: () => T | null; write: (value: T) => void; clear: () => void }

export function draft<T>(name: string, store: Storage = sessionStorage): Draft<T> {
  const key = `zlh.draft.${name}`
  const quietly = <R>(act: () => R): R | null => {
    try {
      return act()
    } catch {
      // Storage is full or forbidden: the page works, and a reload forgets.
      return null
    }
  }
  return {
    read: () => quietly(() => JSON.parse(store.getItem(key) ?? 'null') as T | null),
    write: value => void quietly(() => store.setItem(key, JSON.stringify(value))),
    clear: () => void quietly(() => store.removeItem(key)),
  }
}
