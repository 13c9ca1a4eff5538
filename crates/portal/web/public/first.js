// Runs before the first paint and before the application's code is here. A file of its own, since the policy allows no inline script.

// The theme that the viewer chose.
try {
  const theme = localStorage.getItem('zlh.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {}

// Who signs in or registers sees no frame.
if (/^\/(login|register)/.test(location.pathname)) document.documentElement.dataset.outside = ''

// What the list of servers shows is asked for while the code is still on its way: on a slow line that is two round trips
// less. `src/api/early.ts` takes the answers. An operator who looks at a customer's pages asks with a header, so not here.
try {
  if (location.pathname === '/' && !sessionStorage.getItem('zlh.viewing')) {
    globalThis.zlhEarly = new Map(
      ['/api/me', '/api/instances?limit=100', '/api/operations?limit=100', '/api/catalogue/blueprints', '/api/billing'].map(path => [path, fetch(path)]),
    )
    globalThis.zlhEarly.forEach(answer => answer.catch(() => {}))
  }
} catch {}
