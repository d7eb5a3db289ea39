// Writes docs/api.md from the declarations in dist/, docstrings and all.
//   node scripts/api-reference.js            after `npm run build`
//   node scripts/api-reference.js --check [folder]    only says whether docs/api.md is current, and whether every option that
//       a user can write has a default and an example in it; a folder has an api.md and an options.ts in place of those of docs
const { readFileSync, writeFileSync } = require('node:fs')
const { join, relative, resolve } = require('node:path')
const { Node, Project } = require('ts-morph')

const root = resolve(__dirname, '..')
const given = process.argv.slice(2).filter((word) => word !== '--check')
const docs = resolve(given[0] ?? join(root, 'docs'))
const target = join(docs, 'api.md')
const dist = join(root, 'dist')

/** Chapters in the order of the page, and the modules of lib/ that they hold, or its folders with a slash behind them. */
const chapters = {
  Flows: [
    'flow',
    'flow/model-file',
    'flow/sample',
    'flow/observe',
    'flow/loss',
    'flow/log-prob',
    'evaluation/',
    'flow/device',
    'flow/provenance'
  ],
  'What a flow is, and how it is computed': ['flow/options', 'flow/multiscale', 'native/methods'],
  Training: ['training/', 'flow/training-state', 'native/regularisers', 'flow/optimizer'],
  Data: ['data/', 'table/', 'image/', 'native/batch'],
  Autoencoders: ['vae/'],
  'Below the surface': [
    'flow/solution',
    'flow/velocity',
    'flow/trajectory',
    'flow/statistics',
    'flow/call-options',
    'flow/weights'
  ],
  'Other densities': ['density/'],
  'Benchmark sets': ['benchmark/'],
  'Differential equations': ['flow/odeint'],
  Files: ['file/'],
  Errors: ['native/errors']
}

const project = new Project({
  compilerOptions: { moduleResolution: 99, module: 199, skipLibCheck: true, strict: true }
})
const index = project.addSourceFileAtPath(join(dist, 'index.d.ts'))
const moduleOf = (node) => relative(dist, node.getSourceFile().getFilePath()).replace('.d.ts', '')
const exported = [...index.getExportedDeclarations()].map(([name, [node]]) => ({
  name,
  node,
  module: moduleOf(node)
}))
const isType = (node) => Node.isInterfaceDeclaration(node) || Node.isTypeAliasDeclaration(node)
const isInternal = (node) =>
  node
    .getJsDocs?.()
    .some(
      (doc) => doc.getTags().some((tag) => tag.getTagName() === 'internal') || /@internal/.test(doc.getText())
    ) ?? false
/** Types of the core's interface and of the package's own state, which nobody writes. */
const isOurs = (name) => /^(Native|Flow(Core)$|Training|ObjectiveState|OptimizerState)/.test(name)

/** Types without a name outside, that public ones are made of: a user writes what they say, too. */
function parts() {
  const found = new Map()
  const known = new Set(exported.map(({ node }) => node))
  const visit = (node) => {
    const generic = Node.isTypeAliasDeclaration(node) && genericOf(node)
    if (generic) return visit(generic.getTypeNodeOrThrow())
    if (Node.isClassDeclaration(node)) return shownMembers(node).forEach(visit)
    for (const one of [node, ...node.getDescendants()]) {
      const name = Node.isTypeReference(one)
        ? one.getTypeName()
        : Node.isExpressionWithTypeArguments(one)
          ? one.getExpression()
          : undefined
      const symbol = name?.getSymbol()
      for (const declared of (symbol?.getAliasedSymbol() ?? symbol)?.getDeclarations() ?? []) {
        const here = declared.getSourceFile().getFilePath().startsWith(`${dist}/`)
        if (!here || !isType(declared) || known.has(declared) || isOurs(declared.getName())) continue
        known.add(declared)
        found.set(declared, declared.getName())
        visit(declared)
      }
    }
  }
  for (const { node } of exported) visit(node)
  return [...found].map(([node, name]) => ({ name, node, module: moduleOf(node), part: true }))
}

/** The declaration of a generic type that is not public, of which `node` is an alias. */
function genericOf(node) {
  const given = node.getTypeNode()
  if (!Node.isTypeReference(given) || given.getTypeArguments().length === 0) return undefined
  const generic = given.getTypeName().getSymbol()?.getAliasedSymbol()?.getDeclarations()[0]
  const isPublic = exported.some((one) => one.node === generic)
  return Node.isTypeAliasDeclaration(generic) && !isPublic ? generic : undefined
}

function shownMembers(node) {
  return node
    .getMembers()
    .filter(
      (member) => !member.hasModifier?.('private') && !member.getText().startsWith('#') && !isInternal(member)
    )
    .filter(
      (member) => !Node.isConstructorDeclaration(member) || (prose(member) && !/^Use /.test(prose(member)))
    )
}

/** A declaration without its own docstring, `export` and `declare`. */
function signature(node) {
  const text = node
    .getText()
    .replace(/^(export |declare |default )+/, '')
    .replace(/ *\/\*\*(?:(?!\*\/)[\s\S])*@internal[\s\S]*?\*\/\n.*\n/g, '')
  return text.replace(/^ {4}/gm, '  ').replace(/\n {6}/g, '\n    ')
}

/** What an alias stands for, spelled out where that is a generic type which is not public itself. */
function unfolded(node) {
  const generic = Node.isTypeAliasDeclaration(node) && genericOf(node)
  if (!generic) return signature(node)
  const values = node
    .getTypeNode()
    .getTypeArguments()
    .map((one) => one.getText())
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
function members({ name: owner, node }) {
  const shown = shownMembers(node)
  const groups = new Map()
  for (const member of shown) {
    const name = Node.isConstructorDeclaration(member) ? 'constructor' : member.getName()
    groups.set(name, [...(groups.get(name) ?? []), member])
  }
  return [...groups].map(([name, group]) =>
    [
      `#### ${owner}: ${name.replace(/^\[(.*)\]$/, '$1')}`,
      group.map(prose).filter(Boolean).join(' '),
      code(group.map(signature).join('\n'))
    ]
      .filter(Boolean)
      .join('\n\n')
  )
}

/** What docs/options.ts has as values of each type, or of the options of a function. */
function examples() {
  const source = project.addSourceFileAtPath(join(docs, 'options.ts'))
  const found = new Map()
  for (const declared of source.getVariableDeclarations()) {
    const type = declared.getTypeNodeOrThrow().getText()
    const [, of = type.replace(/<.*>|\[\]/g, '')] = /^Parameters<(?:typeof )?(\w+).*>\[\d\]$/.exec(type) ?? []
    const value = declared.getInitializerOrThrow()
    const values = /^\w+\[\]$/.test(type) ? value.getElements() : [value]
    found.set(of, [...(found.get(of) ?? []), ...values])
  }
  return found
}

/** Values one after the other, without the indentation of the list that they stand in. */
function listed(values) {
  const lines = values.map((value) => {
    const text = value.getText()
    const [, indent = ''] = /\n( *)\S*$/.exec(text) ?? []
    return text.replaceAll(`\n${indent}`, '\n')
  })
  return `For example:\n\n${code(lines.join('\n'))}`
}

function entry(one) {
  const { name, node, part } = one
  const values = shown.get(name)
  const hidden = part ? 'A part of other types, without a name outside.' : ''
  const parts = [`### ${headings.get(node)}`, [prose(node), hidden].filter(Boolean).join(' ')]
  if (Node.isClassDeclaration(node)) {
    const head = node
      .getText()
      .slice(0, node.getText().indexOf('{'))
      .replace(/^[\s\S]*?(?=class )/, '')
    parts.push(code(head.trim()), ...members(one))
  } else if (Node.isVariableDeclaration(node)) parts.push(code(`const ${signature(node)}`))
  else if (Node.isFunctionDeclaration(node)) {
    const overloads = node.getOverloads()
    parts.push(code((overloads.length > 0 ? overloads : [node]).map(signature).join('\n')))
  } else parts.push(code(unfolded(node)))
  if (values) parts.push(listed(values))
  return parts.filter(Boolean).join('\n\n')
}

/** A heading for each entry, that no other has but for its case: anchors leave case out. */
function uniqueHeadings(all) {
  const taken = new Set()
  const found = new Map()
  const kind = (node) =>
    Node.isFunctionDeclaration(node) ? 'function' : Node.isVariableDeclaration(node) ? 'value' : 'type'
  for (const { name, node } of all) {
    const clash = all.filter((other) => anchor(other.name) === anchor(name)).length > 1
    const heading = clash ? `${name} (${kind(node)})` : name
    if (taken.has(anchor(heading))) throw new Error(`two headings have the anchor #${anchor(heading)}`)
    taken.add(anchor(heading))
    found.set(node, heading)
  }
  return found
}

function anchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

const entries = [...exported, ...parts()]
const shown = examples()
const headings = uniqueHeadings(entries)
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
  const links = order(modules).map(({ name, node }) => `[${name}](#${anchor(headings.get(node))})`)
  return `- **${title}**: ${links.join(' · ')}`
})
const page = `${[
  '# API',
  "Everything that `import … from 'ffjord'` gives, from the docstrings; `npm run docs` writes this page, with the values of [options.ts](options.ts) as examples.",
  contents.join('\n'),
  ...all.flatMap(([title, modules]) => [`## ${title}`, ...order(modules).map(entry)])
].join('\n\n')}\n`

const anchors = [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchor(heading))
for (const [i, one] of anchors.entries())
  if (anchors.indexOf(one) < i) throw new Error(`two headings of the page have the anchor #${one}`)

const current = readFileSync(target, 'utf8')

/** Data and descriptions, which users get from one function and pass to another whole. */
const handedOn = new Set(
  'Dataset RowBatch DatasetState TableSchema Column Clock Provenance VisitSeed SafetensorsFile StoredTensor'
    .concat(' DatasetContext Tensor TensorLike ConditionedTensor ImageTensor ImageGrid')
    .split(' ')
)

/** Types whose values users write: those that parameters of public functions and methods are made of, but for what callbacks are given. */
function written() {
  const found = new Set()
  const visit = (node) => {
    for (const one of [node, ...node.getDescendants()]) {
      const name = Node.isTypeReference(one)
        ? one.getTypeName()
        : Node.isExpressionWithTypeArguments(one)
          ? one.getExpression()
          : undefined
      const isGiven = one.getAncestors().some((above) => above !== node && Node.isFunctionTypeNode(above))
      if (!name || isGiven) continue
      const symbol = name.getSymbol()
      for (const declared of (symbol?.getAliasedSymbol() ?? symbol)?.getDeclarations() ?? []) {
        if (!isType(declared) || found.has(declared) || handedOn.has(declared.getName())) continue
        found.add(declared)
        visit(declared)
      }
    }
  }
  const callables = exported.flatMap(({ node }) =>
    Node.isFunctionDeclaration(node)
      ? [node, ...node.getOverloads()]
      : Node.isClassDeclaration(node)
        ? shownMembers(node)
        : []
  )
  for (const callable of callables)
    for (const parameter of callable.getParameters?.() ?? [])
      if (parameter.getTypeNode()) visit(parameter.getTypeNode())
  return found
}

/** What a user can write and would not find: options without a default or an example, and types without any. */
function gaps() {
  const missing = []
  const keysOf = (values) =>
    new Set(
      values.flatMap((value) =>
        [value, ...value.getDescendants()]
          .filter((one) => Node.isPropertyAssignment(one) || Node.isShorthandPropertyAssignment(one))
          .map((one) => one.getName())
      )
    )
  const anywhere = keysOf([...shown.values()].flat())
  const isOption = written()
  for (const { name, node, part } of entries.filter((one) => isOption.has(one.node))) {
    const own = shown.get(name)
    const keys = own && !part ? keysOf(own) : anywhere
    const body = (Node.isTypeAliasDeclaration(node) && genericOf(node)?.getTypeNodeOrThrow()) || node
    const options = [body, ...body.getDescendants()].filter(Node.isPropertySignature)
    if (options.length > 0 && !own && !part) missing.push(`${name}: docs/options.ts has no value of it`)
    for (const option of options) {
      const never = option.getTypeNode()?.getText() === 'never'
      if (isInternal(option) || never) continue
      const at = `${name}.${option.getName()}`
      if (!keys.has(option.getName())) missing.push(`${at}: no value in docs/options.ts shows it`)
      const said = [option, node].some((one) => /default/i.test(proseOf(one)))
      if (option.hasQuestionToken() && !said) missing.push(`${at}: its comment gives no default`)
      if (!new RegExp(`\\b${option.getName()}\\??: `).test(section(name)))
        missing.push(`${at}: docs/api.md lacks it`)
    }
  }
  return missing
}

/** What the page in the repository has under a heading, without the examples. */
function section(name) {
  const [, body = ''] = current.split(new RegExp(`^### ${name}(?: \\(\\w+\\))?$`, 'm'))
  return body.split(/^(?:### |For example:)/m)[0]
}

function proseOf(node) {
  return node
    .getJsDocs()
    .map((doc) => doc.getDescription())
    .join(' ')
}

if (process.argv.includes('--check')) {
  const isCurrent = current === page
  const missing = gaps()
  for (const one of missing) console.error(one)
  console.log(
    isCurrent ? 'docs/api.md is current' : 'docs/api.md is not current: npm run docs, and commit it'
  )
  process.exitCode = isCurrent && missing.length === 0 ? 0 : 1
} else writeFileSync(target, page)
