// The whole agreement between the binding and a device. reference, cpu and cuda implement it;
// losses, log-densities, samples and training are compositions of these calls (objectives.h,
// training.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/arrays.h"
#include "core/errors.h"
#include "core/flow_layout.h"
#include "core/image_visit.h"
#include "core/likelihood.h"
#include "core/optimizer_options.h"
#include "core/options.h"
#include "core/row_keys.h"
#include "core/row_source.h"
#include "core/slots.h"
#include "core/step_control.h"
#include "core/trace_plan.h"

namespace ffjord {

class Vae;
struct VaeDescription;

enum class Direction { Forward, Reverse };  ///< data → base over t: 0 → T; base → data

/// What a solve leaves for its pullback. Holds the weights' generation: a pullback after the
/// weights changed is an error.
class Tape {
 public:
  virtual ~Tape() = default;
  /// On the host, but for the states of rows.
  virtual std::size_t kept_bytes() const { return 0; }
};

struct Settings {
  TraceOptions trace;
  SolverOptions solver;
  GradientOptions gradient;
  Regularisers regularisers;
  /// STEER (Ghosh et al. 2020): in training, each block's end time is drawn anew for every solve,
  /// uniform in [T − steer T, T + steer T]; 0: T.
  double steer = 0;
};

/// Where the noise of a call comes from: drawn, or given per CNF block as (K, B, D).
struct Noise {
  std::uint64_t seed = 0;
  std::uint32_t call = 0;
  std::uint32_t row_offset = 0;
  /// A row's draws follow from its values, in place of its number and the call: for scores.
  bool by_values = false;
  std::vector<RowKey> keys;  ///< with `by_values`: one a row, in place of those of its values
  std::vector<Input> given;
};

/// The keys of a call's rows; none where they draw by their numbers.
inline std::vector<RowKey> keys_of(const Noise& noise, const Input& rows, std::size_t batch) {
  if (!noise.by_values) return {};
  require(noise.keys.empty() || noise.keys.size() == batch, "noise needs one key a row");
  return noise.keys.empty() ? row_keys(rows, batch) : noise.keys;
}

struct SolveRequest {
  Direction direction = Direction::Forward;
  std::size_t batch = 0;
  BatchShare share;   ///< of a batch that several processes share
  RowSource rows;     ///< (B, shape); for Reverse (B, D), as `z` comes out
  RowSource context;  ///< (B, C); none for flows without a context
  Noise noise;
  Settings settings;
  Outside outside = Outside::Refuse;  ///< of rows that a transform does not map
  bool training = false;              ///< batch norm normalises and counts as in training
  bool keep_tape = false;
  bool keep_end = false;  ///< the tape keeps the rows at the base too, for `likelihood`
  std::stop_token stop;
  /// Flow time, 0 at the data and ΣT at the base, monotone in the direction of the solve. Refused
  /// for flows with squeeze or split.
  std::vector<double> times;
};

/// What the first run of fixed transforms makes of rows, and of the last z, is computed in float64
/// and rounded once: where the engine's first block reads it, or where it is handed out.
struct SolveOutput {
  Output z;           ///< (B, D); after a split the concatenation [first half out, …, last]
  Output delta_logp;  ///< (B): log p(x) = log N(z) − Δlogp; reversed, log p(x) = log N(z) + Δlogp
  Output regularisers;           ///< (B, R)
  Output trajectory;             ///< (times, B, D)
  Output trajectory_delta_logp;  ///< (times, B)
};

struct SolveResult {
  SolveStatistics statistics;             ///< summed over blocks
  std::vector<double> block_evaluations;  ///< one a CNF block
  std::vector<double> block_stiffness;    ///< one a CNF block
  std::vector<std::string> traces;        ///< what was used, one a CNF block
  std::unique_ptr<Tape> tape;             ///< with keep_tape
};

struct PullbackRequest {
  Input z_bar;             ///< (B, D)
  Input delta_logp_bar;    ///< (B), or empty for zero
  Input regularisers_bar;  ///< (B, R), or empty for zero
  bool parameters = true;  ///< add to the gradient buffer
  Output rows_bar;         ///< (B, shape), or empty; of a data set, refused where those went
                           ///< through the flow's first transforms once
  Output first_bar;        ///< (B, D) of a forward solve, or empty: cotangent of what the first run
                           ///< of fixed transforms made of the rows
  Output context_bar;      ///< (B, C), or empty
  /// Instead of the three cotangents: those of maximum likelihood at the tape's end.
  std::optional<LikelihoodBar> likelihood = {};
};

struct VelocityRequest {
  int block = 0;              ///< counted among CNF blocks
  std::vector<double> times;  ///< one, or one a row
  std::size_t batch = 0;
  Input z;        ///< (B, D)
  Input context;  ///< (B, C); empty for flows without a context
  Noise noise;    ///< given[0] is the block's ε
  TraceOptions trace;
  BatchShare share = {};  ///< of a regression's rows, which several processes share
  Output context_bar;     ///< of a pullback: (B, C), or empty
};

/// What a field should be at the points of a request: a row's loss is Σ_i (scale · f_i − line_i)².
struct VelocityTarget {
  std::span<const double> line;  ///< (B, D)
  double scale = 1;
  double weight = 1;         ///< of the gradients, which are added to the buffer
  std::span<double> losses;  ///< (B), written

  /// What f misses at element i of all rows, for its row's loss; and f's cotangent there.
  double miss(double f, std::size_t i) const { return scale * f - line[i]; }
  double f_bar(double miss) const { return weight * 2 * scale * miss; }
};

/// Flow matching of rows of a data set on the only CNF block (core/flow_matching.h): x₁ is drawn
/// for each, and T f at x_s = x₀ + s (x₁ − x₀), t = s T, should be x₁ − x₀.
struct MatchingRequest {
  std::size_t batch = 0;
  RowSource rows, context;    ///< x₀, behind the flow's fixed transforms, and its contexts
  Noise noise;                ///< of x₁
  std::span<const double> s;  ///< (B)
  double end_time = 1;        ///< T
  double weight = 1;          ///< of the gradients, which are added to the buffer
  std::span<double> losses;   ///< (B), ‖T f − (x₁ − x₀)‖², written
};

/// Flat buffers of a flow, in the order of its layout.
enum class Buffer { Parameters, Gradients, Statistics, FirstMoment, SecondMoment, Average };
inline constexpr int kBuffers = 6;

/// One flow on one device. Not thread-safe: its owner queues calls.
class Flow {
 public:
  virtual ~Flow() = default;

  virtual const FlowDescription& description() const = 0;
  virtual const FlowLayout& layout() const = 0;
  /// Distance from 1 to the next number that it computes with.
  virtual double epsilon() const { return 0x1p-23; }
  /// T of each CNF block.
  virtual std::vector<double> end_times() const = 0;

  virtual void read(Buffer buffer, const Output& values) const = 0;
  virtual void write(Buffer buffer, const Input& values) = 0;
  virtual void zero_gradients() = 0;
  /// The gradient buffers of all processes that share a batch, added up.
  virtual void sum_gradients(SharedSums& sums) = 0;

  virtual SolveResult solve(const SolveRequest& request, const SolveOutput& output) = 0;
  /// The loss of a forward solve that kept its end.
  virtual PendingMeans likelihood(const Tape& tape) = 0;
  /// Ends early where the solve's stop token says so.
  virtual SolveStatistics pullback(const Tape& tape, const PullbackRequest& request) = 0;

  /// f (B, D) and divergence (B; may be empty) of one CNF block at given states.
  virtual void velocity(const VelocityRequest& request, const Output& f,
                        const Output& divergence) = 0;
  /// f_bar (B, D) → z_bar (may be empty), gradients (where `parameters`).
  virtual void velocity_pullback(const VelocityRequest& request, const Input& f_bar,
                                 const Input& divergence_bar, bool parameters,
                                 const Output& z_bar) = 0;

  /// The regression of f on a target, its gradients included: one evaluation and its pullback.
  virtual void velocity_regression(const VelocityRequest& request,
                                   const VelocityTarget& target) = 0;

  /// Flow matching where the rows lie, away from the host; false where nothing was done, and the
  /// caller makes the points.
  virtual bool match(const MatchingRequest& request) = 0;

  /// One step of the optimizer along the gradient buffer; then commits pending batch statistics.
  virtual PendingNorm step(const OptimizerOptions& options) = 0;

  /// `rows` (count, D). Whoever solves them first is told of those outside of the support.
  virtual std::unique_ptr<Rows> upload(std::size_t count, const Input& rows) = 0;
  /// `contexts` (count, C)
  virtual std::unique_ptr<Rows> upload_contexts(std::size_t count, const Input& contexts) = 0;
  /// `levels` (count, D) of images, which every visit reads by `rule`.
  virtual std::unique_ptr<Rows> upload_images(std::size_t count,
                                              std::span<const std::uint8_t> levels,
                                              const VisitRule& rule) = 0;
  /// Copies rows of a data set into `target` (indices, D or C): samples behind the flow's first run
  /// of fixed transforms.
  virtual void gather(const RowSource& rows, const Output& target) const = 0;
};

struct EngineOptions {
  int threads = 0;  ///< 0: as many as the machine grants this process
};

/// A device that can hold flows.
struct Engine {
  std::string name;         ///< 'reference', 'cpu', 'cuda:0'
  std::string description;  ///< e.g. "float32, AVX2, 2 threads"
  std::string unusable;     ///< why it cannot be used, with a remedy; empty if it can
  bool supports_convolutions = false;
  bool float64 = false;  ///< host arrays in float64 lose nothing
  /// With weights drawn from `seed`, or without one zeros, for a caller that writes them all.
  std::function<std::unique_ptr<Flow>(const FlowDescription&, std::optional<std::uint64_t> seed,
                                      const EngineOptions&)>
      create;
  /// The same of variational autoencoders; empty where it has none.
  std::function<std::unique_ptr<Vae>(const VaeDescription&, std::optional<std::uint64_t> seed,
                                     const EngineOptions&)>
      create_vae = nullptr;
};

}  // namespace ffjord
