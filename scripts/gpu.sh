#!/usr/bin/env bash
# Everything that only a card can show: scripts/gpu.sh [build | probe | test | bench | all]
#   build  compiles with nvcc what the rest runs, for compute capability 9.0 or the card's; needs no card
#   probe  what decides most, within a minute: rates of the card, of a warpgroup's products and of its caches, whether a
#          matrix may begin at 16 bytes, the error of each arithmetic, µs of each kernel alone (ncu)
#   test   the C++ checks in three ways of solving, compute-sanitizer's memcheck and racecheck over them, and the jest
#          suites over device cuda:0
#   bench  times of the engine, and solves beside the peers that python3 has
#   all    all of it (the default)
# `bench --predict` asks no card: it prints what a model of the machine code predicts (bench/gpu/predict.js).
#
# Needs nvcc (on the PATH, or in /usr/local/cuda/bin) and CMake, unless a folder build-cmake/gpu that `build` has made
# travelled along. Suites and peers need Node with node_modules, one that travelled along by NODE=/path/to/node.
# Writes the report gpu.md, and solves.md and .json, into the folder that OUT names (bench/results), a step as it ends:
# what a time-out cuts off is not lost. Steps behind a build take FFJORD_GPU_SECONDS (480) together. Ends with 1 if any failed.
set -uo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/.." || exit 1
what=${1:-all}
[[ $what =~ ^(build|probe|test|bench|all|--run)$ ]] || { sed -n '2,18p' "$self"; exit 2; }
[[ ${2:-} == --predict ]] && exec "${NODE:-node}" bench/gpu/predict.js "${@:3}"

PATH=$PATH:/usr/local/cuda/bin
build=${FFJORD_GPU_BUILD:-build-cmake/gpu}
out=${OUT:-bench/results}
report=$out/gpu.md
logs=$build/logs
node=${NODE:-$(command -v node || true)}
failures=0
mkdir -p "$logs" "$out"

capability() {
  local found
  found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)
  echo "${found:-90}"
}

has_node() {
  [[ -n $node && -d node_modules/node-addon-api ]]
}

say() {
  echo "$1" | tee -a "$report"
}
skip() {
  say "- skipped: $1"
}

# step NAME SECONDS FUNCTION…: runs a function of this file in a process of its own, SECONDS at most and no longer than
# is left of all. A line of the report; what it printed as tables of Markdown, and the end of the output of what fails.
step() {
  local name=$1 limit=$2 log="$logs/${1//[^a-zA-Z0-9]/-}.log" start=$SECONDS left=$((deadline - SECONDS)) status
  shift 2
  if ((left < 5)); then
    skip "$name: no time is left"
    return 1
  fi
  timeout --kill-after=5 $((limit < left ? limit : left)) bash "$self" --run "$@" >"$log" 2>&1
  status=$?
  case $status in
    0) say "- ok: $name ($((SECONDS - start)) s)" ;;
    124 | 137) say "- **out of time**: $name ($((SECONDS - start)) s)" ;;
    *) say "- **failed**: $name ($((SECONDS - start)) s)" ;;
  esac
  if grep -q '^|' "$log"; then
    { echo; grep '^|' "$log"; echo; } | tee -a "$report"
  fi
  ((status == 0)) && return
  { echo '```'; grep -v '^|' "$log" | tail -n 40; echo '```'; } | tee -a "$report"
  failures=$((failures + 1))
  return 1
}

# What a build is of: where it has travelled, times of files say nothing.
sources() {
  find native test/cuda bench/native CMakeLists.txt -type f | LC_ALL=C sort | xargs sha256sum | sha256sum
}

configure() {
  cmake -S . -B "$build" -DFFJORD_CUDA=ON -DFFJORD_CUDA_ARCHITECTURES="$(capability)-real" \
    -DFFJORD_TESTS=ON -DFFJORD_MODULE="$(has_node && echo ON || echo OFF)"
}

compile() {
  local architecture program
  architecture=$(capability)
  [[ $architecture == 90 ]] && architecture=90a
  for program in gpu_peaks gpu_wgmma; do
    nvcc -std=c++20 --expt-relaxed-constexpr -O3 "-arch=sm_$architecture" -Inative "bench/native/$program.cu" \
      -o "$build/$program" || return
  done
  cmake --build "$build" --parallel "$(nproc)" &&
    nvcc -std=c++20 -O3 -Inative bench/native/gpu_times.cc -o "$build/gpu_times" \
      -Xlinker --start-group "$build"/libffjord_*.a -Xlinker --end-group &&
    sources >"$build/built"
}

checks() {
  for source in test/cuda/*.cu; do basename "$source" .cu; done
}

# Runs CHECK COMMAND… for each check, several side by side; prints those that fail, with the end of what they said.
each_check() { # SECONDS EXCLUDED COMMAND…
  local limit=$1 excluded=$2
  shift 2
  checks | grep -vE "^($excluded)$" | xargs -P 6 -I {} bash -c '
    limit=$1 check=$2; shift 2
    arguments=(); [[ $check == endurance_check ]] && arguments=(100)
    said=$(timeout "$limit" "$@" '"$build"'/"$check" "${arguments[@]}" 2>&1)
    status=$?
    case $status in
      0) exit 0 ;;
      124) echo "$check: cut off after $limit s, which is no failure"; exit 0 ;;
    esac
    printf "%s: status %s\n%s\n" "$check" "$status" "$(tail -n 15 <<<"$said")"
    exit 1' check "$limit" {} "$@"
}

# A check that is cut off here would hang.
run_checks() {
  FFJORD_CUDA_OPTIONS=${1:-} each_check 60 "endurance_check" env | tee "$logs/cut-off"
  ((PIPESTATUS[0] == 0)) && ! grep -q 'cut off' "$logs/cut-off"
}

# The tool does not follow kernels within loops of the device: the host starts attempts, and checks that run such loops
# whatever they are told are left out. It slows launches down: what it has not finished by then it has found nothing in.
sanitize() { # TOOL OPTION…
  FFJORD_CUDA_OPTIONS=loops=0 each_check 45 'cuda_loop|cuda_tape|intrinsics_check|endurance_check' \
    compute-sanitizer --tool "$@" --error-exitcode 9
}

suites() {
  FFJORD_ADDON=$PWD/$build/ffjord.node FFJORD_TEST_DEVICES=cuda:0 "$node" node_modules/.bin/jest \
    --selectProjects addon --testPathPatterns "test/($("$node" -p "require('./test/over-engines.js').join('|')"))\.test"
}

errors() {
  "$build/product_check" | sed 's/^/| /; s/$/ |/'
}

# Of every kernel of a solve and an iteration of two nets: launches, and µs of the quickest and of all.
kernels_alone() {
  timeout 35 ncu --csv --metrics gpu__time_duration.sum --launch-count 2500 "$build/gpu_times" once |
    python3 -c '
import csv, sys
rows = csv.DictReader(line for line in sys.stdin if line.startswith("\""))
times = {}
for row in rows:
    value = float(row["Metric Value"].replace(",", "")) / {"n": 1e3, "u": 1, "m": 1e-3}[row["Metric Unit"][0]]
    times.setdefault((row["Kernel Name"][:100], row["Grid Size"], row["Block Size"]), []).append(value)
print("| kernel | grid | threads | launches | quickest, us | all, us |\n|---|---|---|---|---|---|")
for key, values in sorted(times.items(), key=lambda item: -sum(item[1]))[:40]:
    print("|", " | ".join(part.replace("|", "/") for part in key), f"| {len(values)} | {min(values):.1f} | {sum(values):.0f} |")
'
}

against_peers() {
  [[ -d node_modules/typescript ]] && "$node" node_modules/.bin/tsc -p bench/tsconfig.json
  FFJORD_ADDON=$PWD/$build/ffjord.node "$node" build/bench/bench/run.js --only solves --quick --device cuda:0 \
    --python "$(command -v python3)" --out "$out"
}

if [[ $what == --run ]]; then
  "${@:2}"
  exit
fi

{
  echo '# On a card'
  echo
  echo "\`scripts/gpu.sh $what\`, $(date -u +%Y-%m-%d), $(git rev-parse --short HEAD 2>/dev/null || echo 'no commit known')"
  echo '```'
  nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm,compute_cap --format=csv ||
    echo 'nvidia-smi finds no card'
  echo '```'
} >"$report"

deadline=$((SECONDS + 3600))
if [[ $what == build || $(cat "$build/built" 2>/dev/null) != "$(sources)" ]]; then
  step 'configure' 120 configure && step 'build' 3000 compile || { echo "the report is $report"; exit 1; }
  [[ $what == build ]] && exit
fi
deadline=$((SECONDS + ${FFJORD_GPU_SECONDS:-480}))

if [[ $what =~ ^(probe|all)$ ]]; then
  step 'peaks' 15 "$build/gpu_peaks" 0.3
  step 'products of a warpgroup' 10 "$build/gpu_wgmma" 0.3
  step 'errors of each arithmetic' 10 errors
  if command -v ncu >/dev/null; then
    step 'kernels alone' 40 kernels_alone
  else
    skip 'kernels alone: no ncu on the PATH'
  fi
fi
if [[ $what =~ ^(test|all)$ ]]; then
  step 'C++ checks' 60 run_checks
  step 'C++ checks, layer by layer' 60 run_checks fused=0
  step 'C++ checks, tiles of many rows' 60 run_checks fused=32
  if has_node && [[ -f $build/ffjord.node ]]; then
    step 'suites over cuda:0' 60 suites
  else
    skip 'suites over cuda:0: no Node with node_modules beside it (name one by NODE=), or no addon'
  fi
fi
if [[ $what =~ ^(bench|all)$ ]]; then
  step 'times' 60 "$build/gpu_times" 0.15
  if has_node && [[ -f $build/ffjord.node && (-d node_modules/typescript || -f build/bench/bench/run.js) ]]; then
    step 'solves beside the peers' 150 against_peers
  else
    skip 'solves beside the peers: needs Node, node_modules and the addon'
  fi
fi
# What takes longest, and has found nothing yet, comes last.
if [[ $what =~ ^(test|all)$ ]]; then
  if command -v compute-sanitizer >/dev/null; then
    step 'memcheck' 150 sanitize memcheck --report-api-errors no # the checks ask for too much memory
    step 'racecheck' 150 sanitize racecheck
  else
    skip 'memcheck and racecheck: no compute-sanitizer on the PATH'
  fi
fi

echo "the report is $report"
exit $((failures > 0 ? 1 : 0))
