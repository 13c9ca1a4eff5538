import { useEffect } from 'react'
import { en } from '../text/en'

/** Names the page in the browser's tab and history. */
export function useTitle(page: string): void {
  useEffect(() => {
    document.title = en.title(page)
  }, [page])
}
