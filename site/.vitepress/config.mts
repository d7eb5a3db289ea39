import { readFileSync } from 'node:fs'
import { defineConfig } from 'vitepress'

// The pages are those that site/pages.js collects from docs, examples and bench; nothing is loaded from elsewhere.
export default defineConfig({
  title: 'ffjord',
  description: 'Continuous normalizing flows for Node.js: train, evaluate and sample, on a native core',
  base: process.env.FFJORD_SITE_BASE ?? '/',
  srcDir: '../build/pages',
  outDir: '../build/site',
  cacheDir: '../build/vitepress',
  cleanUrls: false,
  lastUpdated: false,
  // A docstring may hold what looks like a tag.
  markdown: { html: false, theme: { light: 'github-light', dark: 'github-dark' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Install', link: '/docs/install' },
      { text: 'Tables', link: '/docs/tables' },
      { text: 'API', link: '/api/flows' }
    ],
    sidebar: JSON.parse(readFileSync('build/pages/sidebar.json', 'utf8'))
  }
})
