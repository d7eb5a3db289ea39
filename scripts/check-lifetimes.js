// Says which object files build an object with a destructor inside a function:
//   node scripts/check-lifetimes.js FILE…     (object files or archives)
// Such an object is built by the first call, perhaps of a job, and so destroyed before what joins the threads that use
// it. Engines keep theirs where they are built when the addon is loaded, or without a destructor.
const { execFileSync } = require('node:child_process')

const problems = process.argv.slice(2).flatMap((file) => {
  const symbols = execFileSync('nm', ['--demangle', file], { encoding: 'utf8', maxBuffer: 2 ** 30 })
  const members = symbols.split(/\n\n/) // of an archive
  if (members.length < 1 || !symbols.includes('ffjord')) return [`${file} holds nothing of this library`]
  return (
    members
      .filter((member) => /\b__cxa_atexit\b/.test(member))
      // nvcc keeps a pointer in each stub that launches a kernel; it has no destructor.
      .flatMap((member) => member.match(/guard variable for (?!__device_stub__).*/g) ?? [])
      .map((guard) => `${file}: ${guard.replace('guard variable for ', '')} is built by its first use`)
  )
})
for (const problem of problems) console.error(problem)
if (problems.length === 0) console.log('whatever has a destructor is built before the first call')
process.exitCode = problems.length > 0 ? 1 : 0
