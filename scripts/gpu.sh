#!/usr/bin/env bash
# Everything that only a card can show: scripts/gpu.sh [test | bench | all]
#   test   builds with nvcc, the C++ checks on the card, compute-sanitizer's memcheck and racecheck over them, and the
#          jest suites over device cuda:0 where there is Node and node_modules
#   bench  the times of the CUDA engine
#   all    both (the default)
# `bench --predict` asks no card: it prints what a model of the machine code predicts (bench/gpu/predict.js).
# Needs nvcc (on the PATH, or in /usr/local/cuda/bin) and CMake. A Node that travelled along is named by NODE=/path/to/node.
# Writes bench/results/gpu.md, whatever fails, and ends with 1 if anything did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
what=${1:-all}
[[ $what =~ ^(test|bench|all)$ ]] || { sed -n '2,9p' "$0"; exit 2; }
[[ ${2:-} == --predict ]] && exec "${NODE:-node}" bench/gpu/predict.js "${@:3}"

PATH=$PATH:/usr/local/cuda/bin
build=build-cmake/gpu
report=bench/results/gpu.md
logs=$build/logs
node=${NODE:-$(command -v node || true)}
failures=0
mkdir -p "$logs" bench/results

# step NAME COMMAND…: a line of the report; the end of the output of what fails.
step() {
  local name=$1 log start=$SECONDS
  log="$logs/${name//[^a-zA-Z0-9]/-}.log"
  shift
  if "$@" >"$log" 2>&1; then
    echo "- ok: $name ($((SECONDS - start)) s)" | tee -a "$report"
  else
    echo "- **failed**: $name ($((SECONDS - start)) s)" | tee -a "$report"
    { echo '```'; tail -n 40 "$log"; echo '```'; } | tee -a "$report"
    failures=$((failures + 1))
    return 1
  fi
}
skip() {
  echo "- skipped: $1" | tee -a "$report"
}

card() {
  nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm,compute_cap --format=csv
}

capability() {
  local found
  found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  echo "${found:-90}"
}

configure() {
  cmake -S . -B "$build" -DFFJORD_CUDA=ON -DFFJORD_CUDA_ARCHITECTURES="$(capability)-real" \
    -DFFJORD_TESTS=ON -DFFJORD_MODULE="$(has_node && echo ON || echo OFF)"
}

has_node() {
  [[ -n $node && -d node_modules/node-addon-api ]]
}

checks() {
  for source in test/cuda/*.cu; do basename "$source" .cu; done
}

# The tool does not follow kernels within loops of the device: the host starts attempts, and checks that run such
# loops whatever they are told are left out.
sanitize() { # TOOL OPTION…
  local check arguments
  for check in $(checks); do
    [[ $check =~ ^(cuda_loop|cuda_tape|intrinsics_check)$ ]] && continue
    arguments=()
    [[ $check == endurance_check ]] && arguments=(100) # a tool slows each launch down
    FFJORD_CUDA_OPTIONS=loops=0 compute-sanitizer --tool "$@" --error-exitcode 9 "$build/$check" "${arguments[@]}" || return 1
  done
}

suites() {
  FFJORD_ADDON=$PWD/$build/ffjord.node FFJORD_TEST_DEVICES=cuda:0 "$node" node_modules/.bin/jest \
    --selectProjects addon --testPathPatterns "test/($("$node" -p "require('./test/over-engines.js').join('|')"))\.test"
}

# What the card reaches at most, to read the times beside.
peaks() {
  local architecture
  architecture=$(capability)
  [[ $architecture == 90 ]] && architecture=90a
  nvcc -std=c++20 --expt-relaxed-constexpr -O3 "-arch=sm_$architecture" -Inative bench/native/gpu_peaks.cu \
    -o "$build/gpu_peaks" && "$build/gpu_peaks" >"$logs/peaks.md"
}

benchmark() {
  cmake -S bench/native -B "$build/bench" -DCMAKE_BUILD_TYPE=Release -DFFJORD_CUDA=ON \
    -DFFJORD_CUDA_ARCHITECTURES="$(capability)-real" &&
    cmake --build "$build/bench" --target gpu_times --parallel "$(nproc)" &&
    "$build/bench/gpu_times" >"$logs/times.md"
}

# At equal error beside the peers that `python3` has; bench/run.ts writes tables of its own.
against_peers() {
  [[ -d node_modules/typescript ]] && "$node" node_modules/.bin/tsc -p bench/tsconfig.json
  mkdir -p build/bench/build/Release && cp "$build/ffjord.node" build/bench/build/Release/ || return # bench's package root
  "$node" build/bench/bench/run.js --only solves --device cuda:0 \
    --python "$(command -v python3)" --out "$logs"
}

{
  echo '# On a card'
  echo
  echo "\`scripts/gpu.sh $what\`, $(date -u +%Y-%m-%d), $(nvcc --version | grep -o 'release [0-9.]*')"
  echo '```'
  card || echo 'nvidia-smi finds no card'
  echo '```'
} >"$report"

if [[ $what != bench ]]; then
  if step 'configure' configure && step 'build' cmake --build "$build" --parallel "$(nproc)"; then
    step 'C++ checks' ctest --test-dir "$build" --output-on-failure
    FFJORD_CUDA_OPTIONS=fused=0 step 'C++ checks, layer by layer' ctest --test-dir "$build" --label-regex cuda --output-on-failure
    FFJORD_CUDA_OPTIONS=fused=64 step 'C++ checks, small nets in registers' ctest --test-dir "$build" --label-regex cuda --output-on-failure
    if command -v compute-sanitizer >/dev/null; then
      step 'memcheck' sanitize memcheck --report-api-errors no # the checks ask for too much memory
      step 'racecheck' sanitize racecheck
    else
      skip 'memcheck and racecheck: no compute-sanitizer on the PATH'
    fi
    if has_node; then
      step 'suites over cuda:0' suites
    else
      skip 'suites over cuda:0: no Node with node_modules beside it (name one by NODE=)'
    fi
  fi
fi
if [[ $what != test ]]; then
  step 'peaks' peaks && { echo; cat "$logs/peaks.md"; echo; } | tee -a "$report"
  step 'benchmark' benchmark && { echo; cat "$logs/times.md"; } | tee -a "$report"
  if has_node && [[ -f $build/ffjord.node && (-d node_modules/typescript || -f build/bench/bench/run.js) ]]; then
    step 'solves beside the peers' against_peers && { echo; cat "$logs/solves.md"; } | tee -a "$report"
  else
    skip 'solves beside the peers: needs Node, node_modules and the addon that the test step builds'
  fi
fi

echo "the report is $report"
exit $((failures > 0 ? 1 : 0))
