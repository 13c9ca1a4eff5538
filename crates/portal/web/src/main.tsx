import './style/index.css'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { instances, me, queries } from './api/queries'
import { router } from './router'

// Asked for before anything is drawn: what is drawn waits for nothing else.
void queries.prefetchQuery(me)
if (location.pathname === '/') void queries.prefetchQuery(instances)

const root = document.getElementById('app')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  )
}
