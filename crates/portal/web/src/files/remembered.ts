/** Which upload a file's is, across reloads: by where it goes, how long it is, and when it was changed last. */

type Store = Record<string, string>

export function remembered(instance: string, path: string, file: File) {
  const place = `zlh.uploads.${instance}`
  const key = `${path}|${file.size}|${file.lastModified}`
  const all = (): Store => {
    try {
      return JSON.parse(localStorage.getItem(place) ?? '{}') as Store
    } catch {
      return {}
    }
  }
  const keep = (store: Store) => {
    try {
      if (Object.keys(store).length > 0) localStorage.setItem(place, JSON.stringify(store))
      else localStorage.removeItem(place)
    } catch {
      // A browser that keeps nothing begins anew after a reload.
    }
  }
  return {
    read: () => all()[key] ?? null,
    write: (upload: string) => keep({ ...all(), [key]: upload }),
    clear: () => {
      const { [key]: _, ...rest } = all()
      keep(rest)
    },
  }
}
