/** Whose pages an operator looks at as they see them, in this tab only. */

export type Viewing = { id: string; name: string }

const PLACE = 'zlh.viewing'

export function viewing(): Viewing | null {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE) ?? 'null') as Viewing | null
  } catch {
    return null
  }
}

/** Every page is loaded anew: nothing of one account stays in the memory of another. */
export function beginViewing(whom: Viewing): void {
  sessionStorage.setItem(PLACE, JSON.stringify(whom))
  location.assign('/')
}

export function endViewing(): void {
  sessionStorage.removeItem(PLACE)
  location.assign('/op/customers')
}

/** The header that says so, on requests for what customers see. */
export const viewHeader = (path: string): Record<string, string> => {
  const whom = viewing()
  return whom && !path.startsWith('/api/operator/') && !path.startsWith('/api/auth/') ? { 'zlh-view-as': whom.id } : {}
}
