// Before the first paint: the theme that the viewer chose. A file of its own, since the policy allows no inline script.
try {
  const theme = localStorage.getItem('zlh.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {}
