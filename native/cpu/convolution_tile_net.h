// TileNet for convolutional nets.
//
// An image of hidden channels takes megabytes a panel, so a tile goes through the net in passes:
// strip by strip, and of many tangents some at a time, each pass with the values beside them. The
// memory of an evaluation does not grow with their number then. What all passes of an evaluation
// leave stays for the pullback where there is plenty of memory; else the pullback runs them again,
// one by one, which takes a third longer and gives the same bits.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/lattice_probes.h"
#include "core/memory.h"
#include "cpu/convolution_backward.h"
#include "cpu/convolution_forward.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// What a pass leaves.
struct PassMemory {
  AlignedFloats input, output;      ///< panels of D features
  std::vector<ChainMemory> chains;  ///< one a branch
};

/// What a pass needs while it runs or is pulled back.
struct PassScratch {
  PassMemory pass;  ///< of one that is not kept
  AlignedFloats input_bar, output_bar;
  std::vector<ChainScratch> chains;
};

/// Scratch that nobody uses, of which calls of several threads take one each.
class ScratchPool {
 public:
  /// Takes one, and gives it back at the end.
  class Lease {
   public:
    /// For a net of so many chains.
    Lease(ScratchPool& pool, std::size_t chains) : pool_(pool), scratch_(pool.take()) {
      scratch_->chains.resize(chains);
    }
    ~Lease() { pool_.give_back(std::move(scratch_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    PassScratch& operator*() const { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<PassScratch> scratch_;
  };

 private:
  std::unique_ptr<PassScratch> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<PassScratch>();
    auto scratch = std::move(idle_.back());
    idle_.pop_back();
    return scratch;
  }
  /// Where there is no memory to note it, it goes.
  void give_back(std::unique_ptr<PassScratch> scratch) noexcept try {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  } catch (...) {
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<PassScratch>> idle_;
};

/// Where the probes of a branch are 1, whose divergence they add up to.
struct BranchLattice {
  int probes = 0;
  std::vector<int> probe_of;  ///< of an element of z

  BranchLattice(const ProbeLattice& lattice, const std::vector<std::uint32_t>& squeezed)
      : probes(static_cast<int>(lattice.count())), probe_of(squeezed.size()) {
    for (int k = 0; k < probes; ++k)
      lattice.for_each_one(k, [&](std::size_t i) { probe_of[squeezed[i]] = k; });
  }
};

/// A pass, and the branches that it goes through.
struct BranchPass : FieldPass {
  std::size_t first_branch = 0, end_branch = 0;
};

struct ConvolutionActivations final : Activations {
  TracePlan trace;
  Regularisers regularisers;
  Evaluation evaluation;  ///< of the last `evaluate`, as its pullback differentiates it
  bool kept = false;      ///< every pass has its own memory, as it left it
  std::vector<BranchPass> passes;
  std::vector<PassMemory> memory;  ///< one a pass that is kept
  AlignedFloats z, terms;          ///< copies for passes that are run again
  AlignedFloats regulariser_sums;  ///< [R][rows]

  PassMemory& of_pass(std::size_t pass, PassScratch& scratch) {
    if (!kept) return scratch.pass;
    if (memory.size() < passes.size()) memory.resize(passes.size());
    return memory[pass];
  }
};

class ConvolutionTileNet final : public TileNet {
 public:
  ConvolutionTileNet(const BlockContext<float>& context, ConvolutionMethod method);

  std::size_t rows() const override { return std::size_t(kStrips) * kLanes; }
  void parameters_changed() override;

  std::unique_ptr<TimeSlot> make_time_slot(const TracePlan& trace) const override;
  std::unique_ptr<Activations> make_activations(const TracePlan& trace,
                                                const Regularisers& regularisers) const override;
  std::unique_ptr<GradientSlot> make_gradient_slot(const TracePlan& trace) const override;

  std::size_t kept_bytes(const Activations& activations) const override {
    const auto& memory = static_cast<const ConvolutionActivations&>(activations);
    const std::size_t passes = memory.kept ? floats_of(memory.passes) : 0;
    return sizeof(float) * (passes + memory.z.size() + memory.terms.size());
  }

  void set_time(TimeSlot& slot, double t) const override;
  void set_times(TimeSlot& slot, const float* t) const override;

  std::size_t terms() const override { return context_.terms; }
  void enter_context(const float* context, float* terms) const override {
    context_.enter(context, static_cast<int>(rows()), terms);
  }
  void pull_back_context(const float* context, const float* terms, GradientSlot* gradients,
                         float* context_bar) const override {
    float* const sums = gradients ? static_cast<NetGradient*>(gradients)->context.data() : nullptr;
    context_.pull_back(context, static_cast<int>(rows()), terms, sums, context_bar);
  }

  void evaluate(const TimeSlot& time, const TileArrays& arrays, Activations& activations,
                bool keep) const override;
  double pullback(const TimeSlot& time, const TileCotangents& cotangents, Activations& activations,
                  GradientSlot* gradients, double* times_bar) const override;
  void finish(GradientSlot& slot) const override;
  void move_sums(GradientSlot& from, GradientSlot& to) const override {
    move_gradients(static_cast<NetGradient&>(from), static_cast<NetGradient&>(to));
  }
  void add(std::span<const float> from, float* to) const override { add_numbers(from, to); }
  void add_sums(GradientSlot& slot, float scale, std::span<float> gradients) const override;

 private:
  /// Two columns of values fill a panel; solves step through rows sixteen at a time.
  static constexpr int kStrips = kLanes < 8 ? 16 / kLanes : 2;

  Panels panels(AlignedFloats& memory, const Columns& columns) const {
    reserve(memory, columns.floats(dimension_));
    return columns.place(memory.data(), dimension_);
  }
  /// Floats that what `evaluate` keeps for all passes takes.
  std::size_t floats_of(const std::vector<BranchPass>& passes) const;
  void add_passes(const BranchPass& like, int tangents, std::vector<BranchPass>& passes) const;
  std::vector<BranchPass> plan_passes(const Evaluation& evaluation, bool lattices) const;
  bool keeps(const ConvolutionActivations& memory) const;
  void run_pass(const BranchPass& pass, const NetTime& time, const float* z, const float* eps,
                const float* terms, PassMemory& memory, PassScratch& scratch, bool keep) const;
  /// From the seeds in `scratch.output_bar` to `scratch.input_bar`.
  void pull_pass(const BranchPass& pass, const NetTime& time, PassMemory& memory,
                 PassScratch& scratch, ChainReverse* reverse) const;
  void evaluate_vjp(const BranchPass& pass, const NetTime& time, const TileArrays& arrays,
                    int probes, PassMemory& memory, PassScratch& scratch) const;
  void reduce_layer(const ConvolutionLayer& layer, const LayerGradient& sums, float scale,
                    std::span<float> gradients) const;

  const int dimension_;
  const bool residual_;
  std::vector<ConvolutionLayer> layers_;
  ContextMap context_;
  std::vector<ConvolutionChain> chains_;  // one a branch
  std::vector<BranchLattice> lattices_;
  mutable ScratchPool pool_;
};

/// What a pass of several tangents may take an image, in floats: 16 MiB.
inline constexpr std::size_t kFloatsOfPass = std::size_t{1} << 22;
/// What an evaluation may keep without asking: 32 MiB. Every stage of a step that is pulled back
/// keeps one, and every thread has a step.
inline constexpr std::size_t kFloatsKept = std::size_t{1} << 23;
/// More is kept where it is a small part of what memory is left.
inline constexpr std::uint64_t kPartOfMemory = 64;

inline bool ConvolutionTileNet::keeps(const ConvolutionActivations& memory) const {
  const std::size_t floats = floats_of(memory.passes);
  return floats <= kFloatsKept || memory.memory.size() >= memory.passes.size() ||
         floats * sizeof(float) <= available_memory() / kPartOfMemory;
}

inline std::size_t ConvolutionTileNet::floats_of(const std::vector<BranchPass>& passes) const {
  std::size_t floats = 0;
  for (const BranchPass& pass : passes)
    for (std::size_t b = pass.first_branch; b < pass.end_branch; ++b)
      floats += pass.columns.panels() * chains_[b].floats_per_panel();
  return floats;
}

/// Passes through branches of `like`, some of the tangents at a time.
inline void ConvolutionTileNet::add_passes(const BranchPass& like, int tangents,
                                           std::vector<BranchPass>& passes) const {
  // Columns come in pairs: an odd number of tangents and the value fill the panels of one strip.
  constexpr int kMostTangents = 15;
  std::size_t largest = 1;
  for (std::size_t b = like.first_branch; b < like.end_branch; ++b)
    largest = std::max(largest, chains_[b].largest_image());
  const int most = std::clamp(2 * static_cast<int>(kFloatsOfPass / largest) - 1, 1, kMostTangents);
  int first_tangent = 0;
  do {
    const int left = tangents - first_tangent;
    BranchPass pass = like;
    pass.columns.channels = 1 + (left <= most + 1 ? left : most);
    pass.columns.strips = pass.columns.channels % kPanelColumns == 0 ? 1 : 2;
    pass.first_tangent = first_tangent;
    pass.first = like.first && first_tangent == 0;
    for (; pass.first_strip < kStrips; pass.first_strip += pass.columns.strips)
      passes.push_back(pass);
    first_tangent += pass.tangents();
  } while (first_tangent < tangents);
}

inline std::vector<BranchPass> ConvolutionTileNet::plan_passes(const Evaluation& evaluation,
                                                               bool lattices) const {
  BranchPass whole;
  whole.dimension = dimension_;
  whole.residual = residual_;
  whole.rows = rows();
  whole.evaluation = evaluation;
  whole.end_branch = chains_.size();
  std::vector<BranchPass> passes;
  add_passes(whole, lattices ? 0 : evaluation.tangents, passes);
  for (std::size_t b = 0; lattices && b < chains_.size(); ++b) {
    BranchPass branch = whole;
    branch.first = false;
    branch.first_branch = b;
    branch.end_branch = b + 1;
    branch.probe_of = lattices_[b].probe_of.data();
    branch.evaluation.regularisers = false;
    add_passes(branch, lattices_[b].probes, passes);
  }
  return passes;
}

inline void ConvolutionTileNet::run_pass(const BranchPass& pass, const NetTime& time,
                                         const float* z, const float* eps, const float* terms,
                                         PassMemory& memory, PassScratch& scratch,
                                         bool keep) const {
  const Panels input = panels(memory.input, pass.columns);
  const Panels output = panels(memory.output, pass.columns);
  load_columns(pass, z, eps, input);
  memory.chains.resize(chains_.size());
  for (std::size_t b = pass.first_branch; b < pass.end_branch; ++b)
    chains_[b].run(pass, time, terms, input, output, b > pass.first_branch, memory.chains[b],
                   scratch.chains[b], keep);
}

inline void ConvolutionTileNet::pull_pass(const BranchPass& pass, const NetTime& time,
                                          PassMemory& memory, PassScratch& scratch,
                                          ChainReverse* reverse) const {
  const Panels seeds = panels(scratch.output_bar, pass.columns);
  const Panels input_bar = panels(scratch.input_bar, pass.columns);
  for (std::size_t b = pass.first_branch; b < pass.end_branch; ++b)
    chains_[b].pull(pass, time, seeds, input_bar, b > pass.first_branch, memory.chains[b],
                    scratch.chains[b], reverse);
}

inline void ConvolutionTileNet::evaluate(const TimeSlot& slot, const TileArrays& arrays,
                                         Activations& activations, bool keep) const {
  const auto& time = static_cast<const NetTime&>(slot);
  auto& memory = static_cast<ConvolutionActivations&>(activations);
  Evaluation wanted{.regularisers = arrays.regularisers != nullptr};
  const bool tangents = arrays.divergence ||
                        (wanted.regularisers && memory.regularisers.needing(Derivatives::Tangents));
  const bool lattices = tangents && memory.trace.divergence == Divergence::Lattices;
  if (tangents) {
    wanted.form = Form::Tangents;
    wanted.unit = memory.trace.divergence == Divergence::UnitTangents;
    wanted.exact = memory.trace.exact();
    wanted.tangents = wanted.unit ? dimension_ : memory.trace.probes;
  }
  const bool vjp = memory.trace.divergence == Divergence::Vjp && tangents;
  // The pullback of the VJP form differentiates the equal tangent form.
  memory.passes = plan_passes(wanted, lattices);
  memory.kept = keep && !vjp && keeps(memory);
  if (keep && !memory.kept) {
    memory.z.assign(arrays.z, arrays.z + dimension_ * rows());
    if (arrays.terms) memory.terms.assign(arrays.terms, arrays.terms + context_.terms * rows());
  }
  if (vjp) {
    Evaluation values = wanted;
    values.form = Form::Values;
    values.tangents = 0;
    memory.passes = plan_passes(values, false);
  }
  const ScratchPool::Lease scratch(pool_, chains_.size());
  for (std::size_t i = 0; i < memory.passes.size(); ++i) {
    const BranchPass& pass = memory.passes[i];
    PassMemory& of_pass = memory.of_pass(i, *scratch);
    run_pass(pass, time, arrays.z, arrays.eps, arrays.terms, of_pass, *scratch, memory.kept || vjp);
    write_field(pass, arrays, memory.regularisers, memory.regulariser_sums.data(),
                panels(of_pass.input, pass.columns), panels(of_pass.output, pass.columns));
    if (vjp) evaluate_vjp(pass, time, arrays, memory.trace.probes, of_pass, *scratch);
  }
  if (vjp) memory.passes = plan_passes(wanted, false);
}

/// (εᵀJ) ε over the values that a pass kept.
inline void ConvolutionTileNet::evaluate_vjp(const BranchPass& pass, const NetTime& time,
                                             const TileArrays& arrays, int probes,
                                             PassMemory& memory, PassScratch& scratch) const {
  const Panels seeds = panels(scratch.output_bar, pass.columns);
  const Panels input_bar = panels(scratch.input_bar, pass.columns);
  for (int k = 0; k < probes; ++k) {
    const float* eps = arrays.eps + std::size_t(k) * dimension_ * rows();
    load_columns(pass, eps, nullptr, seeds);
    pull_pass(pass, time, memory, scratch, nullptr);
    for (int g = 0; g < pass.columns.strips; ++g) {
      Vec sum = {};
      for (int i = 0; i < dimension_; ++i)
        sum = fma(load(input_bar.column(g) + std::size_t(i) * kFeatureStride),
                  load(eps + i * rows() + pass.row(g)), sum);
      sum = sum * splat(1.f / float(probes));
      float* const to = arrays.divergence + pass.row(g);
      if (k > 0)
        sum = sum + load(to);
      else if (residual_)
        sum = sum - splat(float(dimension_));
      store(to, sum);
    }
  }
}

inline double ConvolutionTileNet::pullback(const TimeSlot& slot, const TileCotangents& arrays,
                                           Activations& activations, GradientSlot* gradients,
                                           double* times_bar) const {
  const auto& time = static_cast<const NetTime&>(slot);
  auto& memory = static_cast<ConvolutionActivations&>(activations);
  ChainReverse reverse{.gradient = static_cast<NetGradient*>(gradients),
                       .terms_bar = arrays.terms,
                       .times_bar = time.own ? times_bar : nullptr};
  const ScratchPool::Lease scratch(pool_, chains_.size());
  for (std::size_t i = 0; i < memory.passes.size(); ++i) {
    const BranchPass& pass = memory.passes[i];
    PassMemory& of_pass = memory.of_pass(i, *scratch);
    if (!memory.kept)
      run_pass(pass, time, memory.z.data(), arrays.eps, memory.terms.data(), of_pass, *scratch,
               true);
    load_seeds(pass, arrays, memory.regularisers, memory.regulariser_sums.data(),
               panels(of_pass.input, pass.columns), panels(of_pass.output, pass.columns),
               panels((*scratch).output_bar, pass.columns));
    pull_pass(pass, time, of_pass, *scratch, &reverse);
    add_to_rows(pass, panels((*scratch).input_bar, pass.columns), arrays.z);
  }
  return reverse.t_bar;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
