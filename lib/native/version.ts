/** The version of this package. */
export const VERSION = (require('ffjord/package.json') as { version: string }).version
