import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { budget } from './build/budget'
import { compress } from './build/compress'
import { xterm } from './build/xterm'

export default defineConfig({
  plugins: [react(), xterm(), budget(), compress()],
  build: {
    target: 'es2022',
    // The policy allows no `data:` fonts or scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    outDir: 'dist',
    emptyOutDir: true,
  },
  server: { proxy: { '/api': { target: 'http://127.0.0.1:8080', ws: true } } },
})
