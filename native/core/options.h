// How a flow is computed: trace, solver, gradient, regularisers. Plain data, already validated
// above.
#pragma once

#include <string_view>

#include "core/philox.h"
#include "core/regularisers.h"

namespace ffjord {

enum class TraceMode { Auto, Exact, Hutchinson };
/// Tangent pushes (a, ȧ) forward: ε·(Jε). Vjp pulls ε back: (εᵀJ)·ε. Equal to rounding.
enum class TraceForm { Tangent, Vjp };

struct TraceOptions {
  TraceMode mode = TraceMode::Auto;
  NoiseLaw noise = NoiseLaw::Gaussian;
  int probes = 1;
  TraceForm form = TraceForm::Tangent;
  bool bottleneck = false;  ///< of an estimate: noise of the narrowest hidden layer's width
  /// Of an estimate by convolutions: a set of probes is ε on the lattices of this spacing, one a
  /// channel and offset (core/lattice_probes.h); 0: a set is one probe.
  int lattice = 0;
};

/// Whose step it is: all rows', a tile's (neighbouring rows, as many as an engine likes), or every
/// row's own.
enum class Control { Batch, Tile, Sample };
/// Torchdiffeq: that library's dopri5, step for step, overshoot and interpolation included.
enum class Controller { Pi, Torchdiffeq };

struct Tableau;

struct SolverOptions {
  const Tableau* tableau = nullptr;
  double rtol = 1e-5, atol = 1e-5;
  int steps = 0;  ///< fixed-step methods: steps over [0, T]
  Control control = Control::Batch;
  bool shared = false;  ///< Batch: of a batch that processes share, and not of each one's rows
  Controller controller = Controller::Pi;
  int max_attempts = 10000;  ///< a block, per direction
  bool operator==(const SolverOptions&) const = default;
};

enum class GradientMethod { Checkpoint, Adjoint };
/// Full: the weights' cotangent is in the error norm, as in torchdiffeq. Seminorm: it is not
/// (Kidger, Chen, Lyons 2021).
enum class AdjointNorm { Full, Seminorm };

struct GradientOptions {
  GradientMethod method = GradientMethod::Checkpoint;
  AdjointNorm norm = AdjointNorm::Seminorm;
};

/// Equal steps are everyone's own, so they are taken together.
Control stepping(const SolverOptions& options);

/// Throws Error(Unsupported) for settings that no engine combines: the torchdiffeq controller
/// beyond dopri5 with batch control and without regularisers; `differentiated`: the adjoint of rows
/// that step apart.
void require_supported(const SolverOptions& solver, const GradientOptions& gradient,
                       const Regularisers& regularisers, bool differentiated);

}  // namespace ffjord
