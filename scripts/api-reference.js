// Writes docs/api.md from the declarations in dist/, docstrings and all.
//   node scripts/api-reference.js            after `npm run build`
//   node scripts/api-reference.js --check    only says whether docs/api.md is current
const { readFileSync, writeFileSync } = require('node:fs')
const { join, relative, resolve } = require('node:path')
const { Node, Project } = require('ts-morph')

const root = resolve(__dirname, '..')
const target = join(root, 'docs/api.md')

/** Chapters in the order of the page, and the modules of lib/ that they hold, or its folders with a slash behind them. */
const chapters = {
  Flows: [
    'flow',
    'flow/model-file',
    'flow/sample',
    'flow/loss',
    'flow/log-prob',
    'evaluation/',
    'flow/device'
  ],
  'What a flow is, and how it is computed': ['flow/options', 'native/methods'],
  Training: ['training/', 'flow/training-state', 'native/regularisers', 'flow/optimizer'],
  Data: ['data/', 'table/', 'native/batch'],
  'Below the surface': [
    'flow/solution',
    'flow/velocity',
    'flow/trajectory',
    'flow/statistics',
    'flow/call-options',
    'flow/weights'
  ],
  'Differential equations': ['flow/odeint'],
  Files: ['file/'],
  Errors: ['native/errors']
}

const project = new Project({ compilerOptions: { moduleResolution: 99, module: 199, skipLibCheck: true } })
const index = project.addSourceFileAtPath(join(root, 'dist/index.d.ts'))
const entries = [...index.getExportedDeclarations()].map(([name, [node]]) => ({
  name,
  node,
  module: relative(join(root, 'dist'), node.getSourceFile().getFilePath()).replace('.d.ts', '')
}))

/** A declaration without its own docstring, `export` and `declare`. */
function signature(node) {
  const text = node.getText().replace(/^(export |declare |default )+/, '')
  return text.replace(/^ {4}/gm, '  ').replace(/\n {6}/g, '\n    ')
}

/** What an alias stands for, spelled out where that is a generic type which is not public itself. */
function unfolded(node) {
  const given = Node.isTypeAliasDeclaration(node) ? node.getTypeNode() : undefined
  if (!Node.isTypeReference(given) || given.getTypeArguments().length === 0) return signature(node)
  const generic = given.getTypeName().getSymbol()?.getAliasedSymbol()?.getDeclarations()[0]
  if (!Node.isTypeAliasDeclaration(generic) || entries.some((one) => one.node === generic))
    return signature(node)
  const values = given.getTypeArguments().map((one) => one.getText())
  const text = generic
    .getTypeParameters()
    .reduce(
      (body, parameter, i) => body.replace(new RegExp(`\\b${parameter.getName()}\\b`, 'g'), values[i]),
      signature(generic.getTypeNodeOrThrow())
    )
  return `type ${node.getName()} = ${text};`
}

function prose(node) {
  const documented = Node.isVariableDeclaration(node) ? node.getVariableStatement() : node
  // A comment on the whole file comes before that of its first declaration.
  const doc = documented.getJsDocs().at(-1)
  return doc
    ? doc
        .getDescription()
        .trim()
        .replace(/\s*\n\s*/g, ' ')
    : ''
}

const code = (text) => `\`\`\`ts\n${text}\n\`\`\``

/** Members of a class one by one: what an overload or an accessor says once holds for its siblings. */
function members(node) {
  const shown = node
    .getMembers()
    .filter((member) => !member.hasModifier?.('private') && !member.getText().startsWith('#'))
    .filter(
      (member) =>
        !member.getJsDocs?.().some((doc) => doc.getTags().some((tag) => tag.getTagName() === 'internal'))
    )
    .filter(
      (member) => !Node.isConstructorDeclaration(member) || (prose(member) && !/^Use /.test(prose(member)))
    )
  const groups = new Map()
  for (const member of shown) {
    const name = Node.isConstructorDeclaration(member) ? 'constructor' : member.getName()
    groups.set(name, [...(groups.get(name) ?? []), member])
  }
  return [...groups].map(([name, group]) =>
    [
      `#### ${name.replace(/^\[(.*)\]$/, '$1')}`,
      group.map(prose).filter(Boolean).join(' '),
      code(group.map(signature).join('\n'))
    ]
      .filter(Boolean)
      .join('\n\n')
  )
}

function entry({ name, node }) {
  const parts = [`### ${name}`, prose(node)]
  if (Node.isClassDeclaration(node)) {
    const head = node
      .getText()
      .slice(0, node.getText().indexOf('{'))
      .replace(/^[\s\S]*?(?=class )/, '')
    parts.push(code(head.trim()), ...members(node))
  } else if (Node.isVariableDeclaration(node)) parts.push(code(`const ${signature(node)}`))
  else if (Node.isFunctionDeclaration(node)) {
    const overloads = node.getOverloads()
    parts.push(code((overloads.length > 0 ? overloads : [node]).map(signature).join('\n')))
  } else parts.push(code(unfolded(node)))
  return parts.filter(Boolean).join('\n\n')
}

const isIn = (module, name) => (name.endsWith('/') ? module.startsWith(name) : module === name)
const known = Object.values(chapters).flat()
const others = [...new Set(entries.map(({ module }) => module))]
  .filter((module) => !known.some((name) => isIn(module, name)))
  .sort()
const all = Object.entries({ ...chapters, ...(others.length > 0 && { More: others }) })
const order = (modules) =>
  modules.flatMap((name) =>
    entries
      .filter(({ module }) => isIn(module, name))
      .sort((a, b) => a.module.localeCompare(b.module) || a.node.getPos() - b.node.getPos())
  )

const contents = all.map(([title, modules]) => {
  const links = order(modules).map(({ name }) => `[${name}](#${name.toLowerCase()})`)
  return `- **${title}**: ${links.join(' · ')}`
})
const page = `${[
  '# API',
  "Everything that `import … from 'ffjord'` gives, from the docstrings; `npm run docs` writes this page.",
  contents.join('\n'),
  ...all.flatMap(([title, modules]) => [`## ${title}`, ...order(modules).map(entry)])
].join('\n\n')}\n`

if (process.argv.includes('--check')) {
  const current = readFileSync(target, 'utf8') === page
  console.log(current ? 'docs/api.md is current' : 'docs/api.md is not current: npm run docs, and commit it')
  process.exitCode = current ? 0 : 1
} else writeFileSync(target, page)
