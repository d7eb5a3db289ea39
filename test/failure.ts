import { type ErrorCode, FfjordError } from 'ffjord'

/** The FfjordError that `call` throws or rejects with; its message must end with what to do. */
export async function failure(call: () => unknown, code: ErrorCode): Promise<FfjordError> {
  let result: unknown
  try {
    result = await call()
  } catch (error) {
    expect(error).toBeInstanceOf(FfjordError)
    const { code: found, message } = error as FfjordError
    expect(`${found}: ${message}`).toContain(`${code}: `)
    expect(message).toMatch(/[;:,].+\w/)
    return error as FfjordError
  }
  throw new Error(`expected ${code}, and got ${JSON.stringify(result)?.slice(0, 300)}`)
}
