/** Light, dark, or as the system is. Kept on the device; `first.js` applies it before the first paint. */
type Theme = 'system' | 'light' | 'dark'

const ORDER: Theme[] = ['system', 'light', 'dark']

export function theme(): Theme {
  const chosen = document.documentElement.dataset['theme']
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system'
}

export function cycleTheme(): void {
  const next = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length] ?? 'system'
  if (next === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = next
  try {
    if (next === 'system') localStorage.removeItem('zlh.theme')
    else localStorage.setItem('zlh.theme', next)
  } catch {
    // A browser that keeps nothing shows the theme until it is closed.
  }
}
