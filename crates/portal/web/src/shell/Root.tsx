/** Around every page, signed in or not. */
import { Outlet } from '@tanstack/react-router'
import { lazy, Suspense, useSyncExternalStore } from 'react'
import { session } from '../api/session'
import { Toasts } from '../ui/toast'

const SignInAgain = lazy(async () => ({ default: (await import('./SignInAgain')).SignInAgain }))

export function Root() {
  const over = useSyncExternalStore(session.subscribe, () => session.isOver)
  return (
    <>
      <Outlet />
      {over && (
        <Suspense>
          <SignInAgain />
        </Suspense>
      )}
      <Toasts />
    </>
  )
}
