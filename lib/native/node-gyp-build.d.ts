declare module 'node-gyp-build' {
  /** Finds and loads the addon of the package at `root`. */
  function load(root: string): unknown
  namespace load {
    /** The file that would be loaded. */
    function resolve(root: string): string
  }
  export = load
}
