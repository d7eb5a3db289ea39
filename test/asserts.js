// A test that asserts nothing cannot fail.
afterEach(() => {
  if (expect.getState().assertionCalls === 0) throw new Error('this test asserts nothing')
})
