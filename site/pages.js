// Collects the pages of the documentation site into build/pages: docs as they are, the API by chapters, the examples, and the
// measurements that they refer to. Links to other files of the repository become plain text.
const {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} = require('node:fs')
const { dirname, join, posix, relative, resolve } = require('node:path')

const root = resolve(__dirname, '..')
const pages = join(root, 'build/pages')
const read = (path) => readFileSync(join(root, path), 'utf8')

/** What a reader asks, and the page that answers. */
const questions = {
  Begin: {
    'What is it, and how good is it?': 'README.md',
    'How do I install it?': 'docs/install.md',
    'How does a program look?': 'examples/README.md'
  },
  Use: {
    'How do I model a table?': 'docs/tables.md',
    'How do I model images?': 'docs/images.md',
    'How do I train an autoencoder?': 'docs/vae.md',
    'How do I train on many machines?': 'docs/distributed.md',
    'How do I move models to PyTorch?': 'docs/pytorch.md'
  },
  Understand: {
    'What is computed?': 'docs/mathematics.md',
    'How fast is it?': 'bench/README.md',
    'What changed?': 'CHANGELOG.md'
  },
  'Work on it': {
    'How is it built?': 'docs/architecture.md',
    'Where is what?': 'docs/where.md',
    'How do I add to it?': 'docs/adding.md',
    'Who owns which thread?': 'docs/lifetimes.md',
    'How does the CUDA engine work?': 'docs/cuda.md'
  }
}

/** Chapters of docs/api.md: name, page, text. */
function chapters() {
  const [, ...parts] = read('docs/api.md').split(/^## /m)
  return parts.map((part) => {
    const title = part.slice(0, part.indexOf('\n'))
    const page = `api/${title.toLowerCase().replace(/[^a-z]+/g, '-')}.md`
    return { title, page, text: `# ${part.replace(/^#(##+) /gm, '$1 ')}` }
  })
}

function sidebar() {
  const groups = Object.entries(questions).map(([text, entries]) => ({
    text,
    items: Object.entries(entries)
      .filter(([, page]) => existsSync(join(root, page)))
      .map(([question, page]) => ({ text: question, link: `/${linked(page)}` }))
  }))
  const items = chapters().map(({ title, page }) => ({ text: title, link: `/${page.replace('.md', '')}` }))
  return [...groups, { text: 'API', items, collapsed: true }]
}

/** The address of a page, without its ending. */
const linked = (page) =>
  page === 'README.md' ? 'overview' : page.replace(/README\.md$/, 'index').replace(/\.md$/, '')

/** Pages by their path in the repository. */
function sources() {
  const folders = ['docs', 'bench', 'bench/results', 'bench/results/ablation', 'examples']
  const found = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`)
  )
  return ['README.md', 'CHANGELOG.md', ...found].filter((path) => path !== 'docs/api.md')
}

const headings = new Map(
  chapters().flatMap(({ page, text }) =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => [anchor(heading), page])
  )
)

function anchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

/** A link of the page `from`, as the site has it; undefined where the file is no page. */
function target(link, from, known) {
  if (/^([a-z]+:|\/)/.test(link)) return link
  const [path, hash] = link.split('#')
  if (path === '' && !from.startsWith('api/')) return link
  const file = path === '' ? 'docs/api.md' : posix.normalize(posix.join(posix.dirname(from), path))
  const ending = hash ? `#${hash}` : ''
  if (file === 'docs/api.md')
    return `/${(headings.get(hash) ?? chapters()[0].page).replace('.md', '')}${ending}`
  if (file === 'docs/options.ts') return undefined
  if (known.has(file)) return `/${linked(file)}${ending}`
  if (/^examples\/?$/.test(file)) return '/examples/index'
  if (/^examples\/[\w-]+\.mts$/.test(file)) return `/${file.replace('.mts', '')}`
  return undefined
}

/** Text with its links as the site has them; pictures are copied beside it. */
function adapted(text, from, known) {
  return text
    .replace(/<!--[\s\S]*?-->\n?/g, '')
    .replace(/(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (_, picture, words, link) => {
      if (picture) {
        const file = posix.normalize(posix.join(posix.dirname(from), link))
        mkdirSync(dirname(join(pages, 'public', file)), { recursive: true })
        copyFileSync(join(root, file), join(pages, 'public', file))
        return `![${words}](/${file})`
      }
      const to = target(link, from, known)
      return to ? `[${words}](${to})` : words
    })
}

function write(page, text) {
  mkdirSync(dirname(join(pages, page)), { recursive: true })
  writeFileSync(join(pages, page), text)
}

function collect() {
  rmSync(pages, { recursive: true, force: true })
  const paths = sources()
  const known = new Set(paths)
  for (const path of paths) write(`${linked(path)}.md`, adapted(read(path), path, known))
  for (const { page, text } of chapters()) write(page, adapted(text, page, known))
  for (const name of readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.mts')))
    write(
      `examples/${name.replace('.mts', '.md')}`,
      `# ${name}\n\n\`\`\`ts\n${read(`examples/${name}`)}\`\`\`\n`
    )
  write('sidebar.json', JSON.stringify(sidebar()))
  write('index.md', adapted(front(), 'README.md', known))
  return relative(root, pages)
}

/** The first page: every question with its answer's place. */
function front() {
  const lists = Object.entries(questions).map(([title, entries]) => {
    const lines = Object.entries(entries)
      .filter(([, page]) => existsSync(join(root, page)))
      .map(([question, page]) => `- [${question}](${page})`)
    return `## ${title}\n\n${lines.join('\n')}`
  })
  const reference = chapters().map(({ title, page }) => `[${title}](/${page.replace('.md', '')})`)
  return `${read('site/front.md').trim()}\n\n${lists.join('\n\n')}\n\n## API\n\n${reference.join(' · ')}\n`
}

console.log(`pages in ${collect()}`)
