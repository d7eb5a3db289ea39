// How a block steps its tiles of rows (fused_solve.h): phases of a solve in turn, each an
// evaluation or more at every tile, then the verdict of the groups.
#pragma once

#include "cuda/fused/fused_rows.h"
#include "cuda/step/group_control.h"
#include "cuda/step/step_rows.h"

namespace ffjord::cuda {

struct FusedSolveArguments {
  FusedNet net;
  FusedLayout layout;
  Groups groups;
  StepPolicy policy;
  StepTape tape;
  double t0 = 0, t1 = 0;
  int batch = 0, tiles = 0, channels = 0, groups_a_tile = 1;
  int most_attempts = 0;  ///< of this launch
  bool joint = false;     ///< all tiles are one group
  bool begins = false;    ///< nothing has been evaluated yet
  ErrorNorm norm;         ///< joint: parts [kSlots][tiles]
  double stability_limit = 0;
  const float* eps = nullptr;             ///< (K, B, D)
  float *y = nullptr, *k0 = nullptr;      ///< (B, S): the states, and k₀ of the step to come
  float *end = nullptr, *last = nullptr;  ///< (B, S) of an attempt, where a block has many tiles
};

/// A kernel of this solve, by the name that launches give.
struct FusedSolveKernel {
  const char* name = nullptr;
  void (*kernel)(FusedSolveArguments, DeviceTableau) = nullptr;
  int threads = 0;
};

// What an evaluation is for: k₀ and the norms of the start, the trial step from it, k₀ alone, the
// stages of an attempt.
enum class Phase { Start, Trial, FirstStage, Attempt };

// The tiles first, first + stride, … of the batch, which step together. Where there is but one, its
// rows stay in shared memory; else they are fetched for each attempt. Rows: a FusedRows with a
// field to evaluate.
template <class Rows>
class FusedStepper : Rows {
  using Tile = typename Rows::Tile;
  using Rows::at_, Rows::channels_, Rows::group, Rows::group_of, Rows::groups_a_tile_,
      Rows::memory_, Rows::net_, Rows::stage, Rows::thread;

 public:
  __device__ FusedStepper(const FusedSolveArguments& s, const DeviceTableau& tableau)
      : Rows(s.net, s.layout, s.groups_a_tile, s.channels), s_(s), tableau_(tableau) {
    Rows::load_weights();
  }

  __device__ void run(int first_tile, int stride) {
    first_tile_ = first_tile;
    stride_ = stride;
    resident_ = first_tile + stride >= s_.tiles;
    has_k0_ = !s_.begins;
    load_groups();
    if (resident_) load(first_tile);
    Phase phase =
        s_.begins ? s_.policy.adaptive ? Phase::Start : Phase::FirstStage : Phase::Attempt;
    // All evaluations of a solve come from one place, which is compiled once.
#pragma unroll 1
    for (int attempts = 0; attempts < s_.most_attempts; ++attempts) {
      if (phase == Phase::Attempt && !begin_attempts()) break;
      const Slot slot = phase == Phase::Trial ? kChange : attempts % 2 == 0 ? kEven : kOdd;
#pragma unroll 1
      for (int tile = first_tile_; tile < s_.tiles; tile += stride_) {
        if (!resident_) load(tile);
        evaluate(phase);
        measure(phase, tile, slot);
        if (!resident_) put_aside(phase, tile);
        __syncthreads();
      }
      if (s_.joint) sync_grid();
      phase = conclude(phase, slot);
    }
    if (resident_) store();
    if (s_.joint) sync_grid();  // all blocks have read the group
    if (holds_group() && !(s_.joint && blockIdx.x > 0)) s_.groups.data[group_index()] = mine();
    __syncthreads();
  }

 private:
  __device__ int first_row(int tile) const { return tile * Tile::kRows; }
  __device__ float* rows_of(float* array, int tile) const {
    return array + std::size_t(first_row(tile)) * channels_;
  }

  // The present thread's group, if it has one.
  __device__ Group& mine() const { return group(thread()); }
  __device__ int group_index() const {
    return s_.joint ? 0 : first_tile_ * groups_a_tile_ + thread();
  }
  __device__ bool holds_group() const {
    return thread() < groups_a_tile_ && group_index() < s_.groups.count;
  }
  __device__ void load_groups() {
    if (thread() < groups_a_tile_) {
      if (holds_group()) {
        mine() = s_.groups.data[group_index()];
      } else {
        mine() = Group();
        mine().rule.done = true;
      }
    }
    __syncthreads();
  }

  __device__ void load(int tile) {
    Rows::load_eps(s_.eps, first_row(tile), s_.batch);
    Rows::load_rows(s_.y, first_row(tile), s_.batch, channels_, memory_ + at_.state);
    if (has_k0_) Rows::load_rows(s_.k0, first_row(tile), s_.batch, channels_, stage(0));
    __syncthreads();
  }
  __device__ void store() {
    Rows::store_rows(memory_ + at_.state, first_row(first_tile_), s_.batch, channels_, s_.y);
    Rows::store_rows(stage(0), first_row(first_tile_), s_.batch, channels_, s_.k0);
  }

  __device__ void evaluate(Phase phase) {
    const bool attempt = phase == Phase::Attempt, trial = phase == Phase::Trial;
    const int first = trial || (attempt && tableau_.fsal) ? 1 : 0;
    // A method that is not FSAL evaluates k₀ in each attempt.
    const int end = attempt                                        ? tableau_.stages
                    : phase == Phase::FirstStage && !tableau_.fsal ? 0
                                                                   : first + 1;
#pragma unroll 1
    for (int i = first; i < end; ++i) {
      if (trial)
        trial_point();
      else
        Rows::combine_point(tableau_, i);
      Rows::evaluate(trial ? 1 : tableau_.c[i], stage(i));
    }
  }
  // y + h k₀
  __device__ void trial_point() {
#pragma unroll 1
    for (int e = thread(); e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int r = e / net_.dimension, at = r * channels_ + e % net_.dimension;
      memory_[at_.point + e] =
          memory_[at_.state + at] + static_cast<float>(group_of(r).h) * stage(0)[at];
    }
  }

  // What a phase is judged by.
  __device__ void measure(Phase phase, int tile, Slot slot) {
    if (phase == Phase::FirstStage) return;
    // The states' own norm follows that of their rates, at the start.
    const int passes = phase == Phase::Start ? 2 : 1;
#pragma unroll 1
    for (int pass = 0; pass < passes; ++pass)
      sum_parts(tile, pass == 0 ? slot : kOdd, [&](int at) {
        if (phase == Phase::Attempt) return finish_entry(at);
        const float y = memory_[at_.state + at];
        if (pass > 0) return Measured{y, y};
        return Measured{phase == Phase::Start ? stage(0)[at] : stage(1)[at] - stage(0)[at], y};
      });
  }
  // y₁ of an entry, and its error.
  __device__ Measured finish_entry(int at) {
    const float h = static_cast<float>(group_of(at / channels_).h);
    const Measured entry =
        measure_attempt(tableau_, h, memory_[at_.state + at], [&](int i) { return stage(i)[at]; });
    memory_[at_.end + at] = entry.end;
    return entry;
  }

  __device__ void put_aside(Phase phase, int tile) {
    if (phase == Phase::Start || phase == Phase::FirstStage)
      Rows::store_rows(stage(0), first_row(tile), s_.batch, channels_, s_.k0);
    if (phase != Phase::Attempt) return;
    Rows::store_rows(memory_ + at_.end, first_row(tile), s_.batch, channels_, s_.end);
    Rows::store_rows(stage(tableau_.stages - 1), first_row(tile), s_.batch, channels_, s_.last);
  }

  // What the groups make of it. Returns the next phase.
  __device__ Phase conclude(Phase phase, Slot slot) {
    has_k0_ = true;
    NormPart part;
    double norm = 0, start_norm = 0;
    const int passes = phase == Phase::Start ? 2 : phase == Phase::FirstStage ? 0 : 1;
#pragma unroll 1
    for (int pass = passes; pass-- > 0;) {
      part = part_of_group(pass == 0 ? slot : kOdd);
      start_norm = norm;
      norm = norm_of_group(part);
    }
    if (holds_group()) {
      Group& group = mine();
      if (phase == Phase::Start) choose_trial(group, start_norm, norm, s_.t0, s_.t1);
      if (phase == Phase::Trial) choose_first_step(group, norm, s_.policy);
      if (phase == Phase::Trial || phase == Phase::FirstStage)
        group.rule.begin(s_.policy, s_.t0, s_.t1, group.first_step);
      if (phase == Phase::Attempt && group.working)
        judge_attempt(group, s_.policy, norm, tableau_.fsal, part, s_.stability_limit);
    }
    __syncthreads();
    if (phase == Phase::Attempt) accept();
    return phase == Phase::Start ? Phase::Trial : Phase::Attempt;
  }

  // Whether a group has an attempt to make.
  __device__ bool begin_attempts() {
    if (thread() < groups_a_tile_)
      begin_attempt(mine(), s_.policy, tableau_.stages, s_.tape.capacity);
    __syncthreads();
    bool works = false;
#pragma unroll 1
    for (int i = 0; i < groups_a_tile_; ++i) works |= group(i).working != 0;
    return works;
  }

  __device__ void accept() {
#pragma unroll 1
    for (int tile = first_tile_; tile < s_.tiles; tile += stride_)
      accept(tile, resident_ ? memory_ + at_.state : rows_of(s_.y, tile),
             resident_ ? memory_ + at_.end : rows_of(s_.end, tile),
             resident_ ? stage(0) : rows_of(s_.k0, tile),
             resident_ ? stage(tableau_.stages - 1) : rows_of(s_.last, tile));
    __syncthreads();
  }
  // The tape, y ← its end, k₀ ← the last stage, where the attempt was accepted.
  __device__ void accept(int tile, float* y, const float* end, float* first, const float* last) {
#pragma unroll 1
    for (int e = thread(); e < Tile::kRows * channels_; e += Tile::kThreads) {
      const int r = e / channels_, channel = e % channels_, row = first_row(tile) + r;
      const Group& group = group_of(r);
      if (row >= s_.batch || !group.accepted) continue;
      if (s_.tape.states) {
        const int step = group.step - 1;
        if (channel < s_.tape.columns)
          s_.tape.states[(std::size_t(step) * s_.batch + row) * s_.tape.columns + channel] = y[e];
        if (channel == 0 && row % s_.groups.rows == 0)
          s_.tape.steps[std::size_t(row / s_.groups.rows) * s_.tape.capacity + step] = {
              group.t, group.h, group.theta};
      }
      y[e] = end[e];
      if (tableau_.fsal) first[e] = last[e];
    }
  }

  __device__ NormPart& part_at(int index) const {
    return reinterpret_cast<NormPart*>(memory_ + at_.parts)[index];
  }
  __device__ NormPart& slot_part(Slot slot) const {
    return part_at(slot * groups_a_tile_ + thread());
  }

  // Sums over the rows of a tile that belong together; `measure(at)` gives an entry.
  template <class Measure>
  __device__ void sum_parts(int tile, Slot slot, const Measure& measure) {
    NormPart* const rows = reinterpret_cast<NormPart*>(memory_ + at_.row_parts);
    const int r = Rows::field_row(), lane = thread() % Rows::kRowLanes, row = first_row(tile) + r;
    const bool leads = r < Tile::kRows && lane == 0;
    if (r < Tile::kRows) {
      const int at = r * channels_;
      const NormPart part = part_of_row<Rows::kRowLanes>(
          s_.norm, row, row < s_.batch ? channels_ : 0, lane, memory_ + at_.state + at,
          [&](int channel) { return measure(at + channel); },
          [](double value) { return Rows::sum_of_lanes(value); });
      if (lane == 0) rows[r] = part;
    }
    const int rows_a_group = Tile::kRows / groups_a_tile_;
#pragma unroll 1
    for (int half = rows_a_group / 2; half > 0; half /= 2) {
      __syncthreads();
      if (leads && r % rows_a_group < half) rows[r].add(rows[r + half]);
    }
    __syncthreads();
    if (s_.joint) {
      if (thread() == 0) s_.norm.parts[std::size_t(slot) * s_.tiles + tile] = rows[0];
    } else if (thread() < groups_a_tile_) {
      slot_part(slot) = rows[thread() * rows_a_group];
    }
    __syncthreads();
  }

  // The norm of the present thread's group; in a joint solve all threads add it up, by a fixed
  // tree.
  __device__ NormPart part_of_group(Slot slot) {
    if (!s_.joint) return thread() < groups_a_tile_ ? slot_part(slot) : NormPart();
    NormPart sum;
#pragma unroll 1
    for (int tile = thread(); tile < s_.tiles; tile += Tile::kThreads)
      sum.add(s_.norm.parts[std::size_t(slot) * s_.tiles + tile]);
    part_at(thread()) = sum;
#pragma unroll 1
    for (int half = Tile::kThreads / 2; half > 0; half /= 2) {
      if (half >= s_.tiles) continue;  // nobody has a part there
      __syncthreads();
      if (thread() < half) part_at(thread()).add(part_at(thread() + half));
    }
    __syncthreads();
    sum = part_at(0);
    __syncthreads();
    return sum;
  }
  __device__ double norm_of_group(const NormPart& part) const {
    return norm_of(part, s_.norm, min(s_.groups.rows, s_.batch - group_index() * s_.groups.rows));
  }

  const FusedSolveArguments& s_;
  const DeviceTableau& tableau_;
  int first_tile_ = 0, stride_ = 1;
  bool resident_ = true, has_k0_ = false;
};

/// The body of a kernel that solves.
template <class Rows>
__device__ __forceinline__ void step_tiles(const FusedSolveArguments& s,
                                           const DeviceTableau& tableau) {
  FusedStepper<Rows> stepper(s, tableau);
  const int stride = static_cast<int>(gridDim.x);
#pragma unroll 1
  for (int tile = blockIdx.x; tile < s.tiles; tile += s.joint ? s.tiles : stride)
    stepper.run(tile, s.joint ? stride : s.tiles);
}

}  // namespace ffjord::cuda
