// One net on one tile of rows: evaluation and pullback, as one instruction set compiles it.
// The border between the kernels (this file's implementations) and the solves (cpu_block.cc).
//
// A tile holds `rows()` rows, a multiple of the vector width; arrays of a tile are feature-major,
// [feature][row], so that a vector holds one feature of neighbouring rows. Rows beyond the batch
// are computed like others (their state is zero) and must not reach a sum: their cotangents are
// zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/block_plan.h"

namespace ffjord::cpu {

/// What depends on t alone, shared by all tiles of a stage: gates, shifts, packed W(t) of blend and
/// hyper, M(t). Made by the net that uses it.
class TimeSlot {
 public:
  virtual ~TimeSlot() = default;
};

/// Scratch memory and the activations of one evaluation. One a thread, or one a stage where several
/// evaluations must be kept for their pullback.
class Activations {
 public:
  virtual ~Activations() = default;
};

/// Sums of weight gradients, in the kernels' own layout.
class GradientSlot {
 public:
  virtual ~GradientSlot() = default;
  virtual void clear() = 0;
  /// Every array that sums are kept in, the same ones of all slots of a net.
  virtual std::vector<std::span<float>> sums() = 0;
};

struct TileArrays {
  const float* z = nullptr;       // [D][rows]
  const float* eps = nullptr;     // [K][D][rows], or [K][width][rows]; null for exact traces
  float* f = nullptr;             // [D][rows]
  float* divergence = nullptr;    // [rows]; null: not wanted, the tangents are not computed
  float* regularisers = nullptr;  // [R][rows], their integrands
  const float* terms = nullptr;   // [P][rows], of enter_context; null without a context
};

struct TileCotangents {
  const float* eps = nullptr;           // [K][D][rows]
  const float* f = nullptr;             // [D][rows]
  const float* divergence = nullptr;    // [rows]; null: zero
  const float* regularisers = nullptr;  // [R][rows]; null: zero
  float* z = nullptr;                   // [D][rows], overwritten
  float* terms = nullptr;               // [P][rows], added to; null without a context: what
                                        // pull_back_products leaves
};

class TileNet {
 public:
  virtual ~TileNet() = default;

  virtual std::size_t rows() const = 0;

  /// Repacks the weights; also M of the closed-form trace where it does not depend on t.
  virtual void parameters_changed() = 0;

  /// `trace` and `regularisers` are those of the evaluations that will use the slot or activations.
  virtual std::unique_ptr<TimeSlot> make_time_slot(const TracePlan& trace) const = 0;
  virtual std::unique_ptr<Activations> make_activations(const TracePlan& trace,
                                                        const Regularisers& regularisers) const = 0;
  virtual std::unique_ptr<GradientSlot> make_gradient_slot(const TracePlan& trace) const = 0;

  /// Activations that are kept for long: without scratch memory, which they exchange for that of
  /// others while they are evaluated or pulled back.
  virtual std::unique_ptr<Activations> make_kept_activations(
      const TracePlan& trace, const Regularisers& regularisers) const {
    return make_activations(trace, regularisers);
  }
  virtual void exchange_scratch(Activations& one, Activations& other) const {
    static_cast<void>(one), static_cast<void>(other);
  }
  /// What they hold, but for scratch memory.
  virtual std::size_t kept_bytes(const Activations& activations) const = 0;

  virtual void set_time(TimeSlot& slot, double t) const = 0;
  /// One t a row of the tile ([rows]); throws Error(Unsupported) for hyper.
  virtual void set_times(TimeSlot& slot, const float* t) const = 0;

  /// P: numbers that a context gives each row, constant along its trajectory: what it adds to the
  /// biases of the first layer and to the gates of the hidden ones. 0 without a context.
  virtual std::size_t terms() const = 0;
  /// Where an amortised context's numbers are its terms: the term of each. Else it is empty, and
  /// the two calls below lead from one to the other.
  virtual std::span<const std::uint32_t> term_places() const { return {}; }
  /// c ([C][rows]) → its terms ([P][rows]).
  virtual void enter_context(const float* context, float* terms) const = 0;
  /// Cotangents of the terms → gradients and those of c, added to; both may be null.
  virtual void pull_back_context(const float* context, const float* terms, GradientSlot* gradients,
                                 float* context_bar) const = 0;

  /// Evaluates a tile. With `keep`, `activations` then holds what `pullback` needs.
  virtual void evaluate(const TimeSlot& time, const TileArrays& arrays, Activations& activations,
                        bool keep) const = 0;

  /// Pulls back the evaluation that `activations` holds, made at the same time and ε. Adds to
  /// `gradients` unless it is null. Returns t̄ (summed over rows); under set_times adds each row's
  /// to `times_bar` ([rows]) where that is not null.
  virtual double pullback(const TimeSlot& time, const TileCotangents& cotangents,
                          Activations& activations, GradientSlot* gradients,
                          double* times_bar = nullptr) const = 0;

  /// Adds to the cotangents of the terms ([P][rows]) those of factors of products, which each
  /// pullback leaves in its activations. Of several at once, as they are more than a cache holds.
  virtual void pull_back_products(std::span<Activations* const> activations, float* terms) const {
    static_cast<void>(activations), static_cast<void>(terms);
  }

  /// Turns what a slot keeps for last into sums of weights. It takes no further gradients then.
  virtual void finish(GradientSlot& slot) const = 0;
  /// Adds the sums of `from` to those of `to`, and clears `from`.
  virtual void move_sums(GradientSlot& from, GradientSlot& to) const = 0;
  /// to += from, of numbers of slots.
  virtual void add(std::span<const float> from, float* to) const = 0;
  /// Finishes a slot and adds it, scaled, to the flat gradient buffer of the whole flow (PyTorch's
  /// layout).
  virtual void add_sums(GradientSlot& slot, float scale, std::span<float> gradients) const = 0;
};

/// The instruction sets that this build has, best first, as far as this processor runs them:
/// "avx512", "avx2", "baseline". FFJORD_CPU in the environment names one to use.
std::span<const std::string_view> instruction_sets();

/// How convolutions are computed: directly, which the other ways are checked and measured against;
/// as takes the least time at the rounding of direct products, as densities are; or as takes the
/// least time at up to six times that (winograd_transforms.h), which is less than the noise of an
/// autoencoder's gradients.
enum class ConvolutionMethod { Direct, Fastest, Coarse };

/// Throws Error(Unsupported) for a name that instruction_sets() does not list.
std::unique_ptr<TileNet> make_tile_net(std::string_view instruction_set,
                                       const BlockContext<float>& context,
                                       ConvolutionMethod method = ConvolutionMethod::Fastest);

}  // namespace ffjord::cpu
