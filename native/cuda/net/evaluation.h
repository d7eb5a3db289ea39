// Memory of one evaluation of a net over a batch, and of its pullback. What is not needed under a
// plan is not there.
#pragma once

#include <vector>

#include "core/options.h"
#include "core/trace_plan.h"
#include "cuda/device/memory.h"
#include "cuda/net/field.h"
#include "cuda/net/net_time.h"

namespace ffjord::cuda {

/// What an evaluation pushes through the net beside the value.
struct EvaluationForm {
  bool closed = false;    ///< diagonals of a closed trace
  bool unit = false;      ///< tangents are unit vectors, not ε
  bool vjp = false;       ///< ε is pulled back after the values; a kept pass has tangents instead
  bool lattices = false;  ///< tangents are those of a branch's lattice, some at a time
  bool keeps = true;      ///< a kept pass holds all that a pullback needs
  int tangents = 0;       ///< K
  int probes = 0;         ///< K of a vjp
  int encoder = 0;        ///< layers of h where ε has a bottleneck's width; 0: it has not
  RegulariserList regularisers;
};

/// Which batch, how it is grouped, and for which plan memory is made.
struct EvaluationSize {
  int batch = 0, groups = 1;
  TracePlan trace;
  Regularisers regularisers;
  bool operator==(const EvaluationSize& other) const;
};

/// Parts of one allocation, counted first and placed then.
class Arena {
 public:
  Arena() = default;
  /// Places parts in the memory of others; null: only counts them.
  explicit Arena(float* memory) : first_(memory) {}

  /// `place` calls `take` for each part; it runs twice.
  template <class Place>
  void build(const Stream& stream, const Place& place) {
    *this = Arena();
    place(*this);
    memory_ = DeviceArray<float>(used_, stream);
    first_ = memory_.data();
    used_ = 0;
    place(*this);
  }
  float* take(std::size_t count) {
    float* const part = first_ ? first_ + used_ : nullptr;
    used_ += (count + 31) / 32 * 32;  // whole lines of 128 bytes
    return part;
  }
  std::size_t used() const { return used_; }
  /// Sets every byte of what `build` has placed.
  void fill(int byte, const Stream& stream) { memory_.fill(byte, stream); }

 private:
  DeviceArray<float> memory_;
  float* first_ = nullptr;
  std::size_t used_ = 0;
};

/// What the layers of a pass hand on as octets, and parts of their products. Evaluations of a batch
/// share it, as they come one after the other.
struct OctetScratch {
  struct Place {
    uint4* slabs = nullptr;
    float* down = nullptr;
  };
  Place places[2];
  float* slices = nullptr;
  Arena memory;
};

/// What a layer leaves, (B, out) and (K, B, out).
struct LayerTape {
  float *value = nullptr, *tangent = nullptr;
  float *z = nullptr, *u = nullptr;
  float* closed = nullptr;
};

/// What a branch of a convolutional net takes, pixel by pixel (images.h).
struct BranchImages {
  float *value = nullptr, *tangents = nullptr;  ///< (B, D), (K, B, D)
};

struct Evaluation {
  EvaluationForm form;
  TimeArrays times;
  ClosedArrays closed;  ///< of a gated output, one set for each group
  std::vector<BranchImages> images;
  Arena memory;  ///< of what is above
  const OctetScratch* octets = nullptr;

  const float* tape = nullptr;  ///< where what is below lies, in the memory of others
  std::vector<LayerTape> layers;
  std::vector<LayerTape> repeated;  ///< of a bottleneck: h once more, beside (∂h/∂z)v_k
  float* closed_product = nullptr;  ///< M d₁ (B, H₂)
  LayerTape joined;                 ///< outputs of a convolutional net as samples: value, tangents
};

/// What an evaluation does with its tape. What needs no product is computed anew from one that is
/// read.
enum class TapeUse {
  Pass,  ///< nothing: only the rates count
  Keep,  ///< writes what a pullback needs
  Read   ///< reads what an evaluation of the same rows at the same time wrote
};

/// Shared by the pullbacks of a batch, which come one after the other.
struct PullbackScratch {
  float* value_bars[2] = {};    ///< (B, widest)
  float* tangent_bars[2] = {};  ///< (K, B, widest)
  float* unit_sums = nullptr;
  int sum_tiles = 0;
  float* time_bars = nullptr;  ///< t̄ of the rows, in parts: [time_parts][B]
  int time_parts = 0, used_time_parts = 0;
  float *slices = nullptr, *columns = nullptr;  ///< of weight gradients
  float *logits = nullptr, *betas = nullptr;    ///< OctetBackward's (B, widest)
  float* closed_bars[2] = {};                   ///< d̄₁ (B, H₁), d̄₂ (B, H₂)
  float* closed_weighted = nullptr;             ///< v d₂ (B, H₂), or v (B)
  float* closed_scratch = nullptr;
  float* hyper_scratch = nullptr;
  float* second = nullptr;  ///< blend: (W₁ − W₀)ᵀ of the cotangents (1 + K, B, widest)
  // Of convolutional nets.
  float* joined_bars[2] = {};     ///< cotangents of Evaluation::joined
  float* pixel_times = nullptr;   ///< t̄ of a layer's pixels: [unit tiles][B · pixels]
  float* pixel_logits = nullptr;  ///< q̄ of a layer's gates (B, pixels, out), under a context
  float* plane_sums = nullptr;    ///< (2, pixels, out)
  Arena memory;
};

}  // namespace ffjord::cuda
