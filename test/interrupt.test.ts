import { performance } from 'node:perf_hooks'
import { interruptible } from '../lib/cli/interrupt'

test('a signal aborts, those of the same moment are the same, and a later one ends the process', async () => {
  let now = 5000
  jest.spyOn(performance, 'now').mockImplementation(() => now)
  const exit = jest.spyOn(process, 'exit').mockImplementation(() => undefined as never)
  await interruptible(async (signal) => {
    process.emit('SIGTERM')
    expect(signal.aborted).toBe(true)
    process.emit('SIGINT')
    now += 900
    process.emit('SIGTERM')
    expect(exit).not.toHaveBeenCalled()
    now += 200
    process.emit('SIGTERM')
    expect(exit).toHaveBeenCalledWith(130)
  })
  jest.restoreAllMocks()
})
