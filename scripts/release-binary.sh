#!/bin/sh
# Builds the binary of the platform it runs on, checks and tests it: sh scripts/release-binary.sh linux-x64-musl
# It installs what a bare image of Ubuntu or Alpine lacks.
set -eu
target=$1

if command -v apk >/dev/null; then
  apk add --no-cache g++ make python3 binutils
elif command -v apt-get >/dev/null && ! command -v node >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends ca-certificates curl g++ make python3 xz-utils
  case $(uname -m) in aarch64) machine=arm64 ;; *) machine=x64 ;; esac
  curl -fsSL "https://nodejs.org/dist/v20.20.2/node-v20.20.2-linux-$machine.tar.xz" | tar -xJ -C /usr/local --strip-components 1
fi

npm ci --ignore-scripts
case $target in
  darwin-*) compiler=clang++ ;;
  *) compiler=g++ ;;
esac
node scripts/prebuild.js "$target" --compiler "$compiler"
case $target in
  linux-*) node scripts/check-binary.js prebuilds/*/*.node ;;
esac

# The package as a user has it, without what was compiled here beside the binary.
npm run build
mkdir -p build/user/node_modules
ln -sfn "$PWD" build/user/node_modules/ffjord
cp test/platform.mjs build/user/
PREBUILDS_ONLY=1 node build/user/platform.mjs
PREBUILDS_ONLY=1 npx jest test/flow.test.ts test/golden.test.ts test/fit.test.ts --selectProjects addon
