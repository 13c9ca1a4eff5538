/** To the pages of Stripe, in this tab. What was asked for twice is answered with the same purchase. */
import { useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useState } from 'react'
import { billing } from '../../api/billing'
import { api, unwrap } from '../../api/client'
import { Problem } from '../../api/problem'

type Wanted = { plan: string; quantity: number }

/** Where it is paid; `null` if it is paid already: the subscription that there is took it in. */
const checkOut = async (items: Wanted[]) => {
  const { url, state } = await unwrap(api.POST('/api/billing/checkout', { body: { items } }))
  return state === 'completed' ? null : url
}
const openPortal = async () => (await unwrap(api.POST('/api/billing/portal'))).url

/** What leads there; `working` is what was pressed, until the page is left. */
export function usePay() {
  const queries = useQueryClient()
  const [working, work] = useState<string | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)

  useEffect(() => {
    // A page that comes back from the browser's memory was left with its button at work, and is old.
    const back = (event: PageTransitionEvent) => {
      if (!event.persisted) return
      work(null)
      void queries.invalidateQueries(billing)
    }
    addEventListener('pageshow', back)
    return () => removeEventListener('pageshow', back)
  }, [queries])

  const go = useCallback(
    async (what: string, ask: () => Promise<string | null>) => {
      work(what)
      setProblem(null)
      let done = false
      try {
        const url = await ask()
        if (url) location.assign(url)
        else work(null)
        done = true
      } catch (error) {
        setProblem(Problem.of(error))
        work(null)
      }
      // What is known was from before the purchase.
      void queries.invalidateQueries(billing)
      return done
    },
    [queries],
  )
  return {
    working,
    problem,
    buy: (items: Wanted[]) => go(`buy ${items.map(it => it.plan).join()}`, () => checkOut(items)),
    manage: () => go('manage', openPortal),
  }
}

export type Pay = ReturnType<typeof usePay>
