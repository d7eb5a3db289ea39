// Where a caller's rows enter the chain of blocks and leave it. On the side of the data the run of
// fixed transforms that the flow begins with stands in between, in float64.
#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/chain_tape.h"
#include "core/dataset_rows.h"
#include "core/end_cotangents.h"
#include "core/fixed_run.h"
#include "core/given_contexts.h"
#include "core/image_rows.h"

namespace ffjord {

/// What float64 knows of a forward solve, and the engine's numbers do not.
struct ExactRows {
  std::vector<double> rest;  ///< Δlogp of the fixed run less what it was rounded to; or empty
  std::vector<std::size_t> outside;  ///< rows of the batch with a density of 0
};

template <class Real>
class ChainBorder {
 public:
  /// All outlive the border. `run` is what the flow begins with; `has_blocks`: others follow.
  ChainBorder(const FlowDescription& flow, const FixedRun& run, bool has_blocks,
              DeviceMemory<Real>& memory)
      : flow_(flow),
        size_(element_count(flow.shape)),
        run_(run),
        has_blocks_(has_blocks),
        memory_(memory) {}

  /// Rows and contexts of a solve, in place of the zeros of `state` and `tape`. Those of a data set
  /// are gathered where the first block reads them.
  ExactRows enter(const SolveRequest& request, ChainState<Real>& state,
                  ChainTape<Real>& tape) const {
    BatchGather<Real> gather(memory_);
    ExactRows exact = request.rows.set ? put_rows_of_set(request, state, gather)
                                       : put_given_rows(request, state, tape);
    put_contexts(request, tape.context, gather);
    gather.run();
    return exact;
  }

  /// The end of a forward solve.
  void leave_at_base(const ChainState<Real>& state, const ExactRows& exact,
                     const SolveOutput& output) const {
    hand_over(state.z, output.z);
    if (output.delta_logp.empty()) return;
    if (exact.rest.empty() && exact.outside.empty())
      return hand_over(state.delta_logp, output.delta_logp);
    std::vector<double> delta_logp = widened(state.delta_logp);
    for (std::size_t b = 0; b < exact.rest.size(); ++b) delta_logp[b] += exact.rest[b];
    for (std::size_t row : exact.outside) delta_logp[row] = std::numeric_limits<double>::infinity();
    output.delta_logp.assign(std::span<const double>(delta_logp));
  }

  /// The end of a reverse solve.
  void leave_at_data(bool keep_tape, const ChainState<Real>& state, ChainTape<Real>& tape,
                     const SolveOutput& output) const {
    if (run_.empty()) {
      hand_over(state.z, output.z);
      hand_over(state.delta_logp, output.delta_logp);
      return;
    }
    std::vector<double> rows = widened(state.z), delta_logp = widened(state.delta_logp);
    run_.invert({state.batch, size_, rows, delta_logp}, keep_tape ? &tape.fixed : nullptr);
    run_.hand_over(state.batch, rows, output.z);
    output.delta_logp.assign(std::span<const double>(delta_logp));
  }

  /// The given cotangents of a solve, as those of what its last block left, in place of zeros.
  void enter(const PullbackRequest& request, const ChainTape<Real>& tape,
             ChainState<Real>& bar) const {
    if (tape.direction == Direction::Forward || run_.empty()) return set_given_bars(request, bar);
    require(request.z_bar.size() == tape.batch * size_, "z_bar must have the shape of z");
    require(request.delta_logp_bar.empty() || request.delta_logp_bar.size() == tape.batch,
            "delta_logp_bar needs one number a row");
    std::vector<double> z_bar = request.z_bar.template as<double>();
    std::vector<double> delta_logp_bar = request.delta_logp_bar.template as<double>();
    delta_logp_bar.resize(tape.batch);
    run_.pull_back(true, tape.fixed, {tape.batch, size_, z_bar, delta_logp_bar});
    PullbackRequest behind = request;
    behind.z_bar = z_bar;
    set_given_bars(behind, bar);
  }

  /// Cotangents of what the first block took → those of the solve's rows.
  void leave(const PullbackRequest& request, const ChainTape<Real>& tape,
             const ChainState<Real>& bar) const {
    const bool forward = tape.direction == Direction::Forward;
    if (forward) hand_over(bar.z, request.first_bar);
    if (!forward || run_.empty()) return hand_over(bar.z, request.rows_bar);
    if (request.rows_bar.empty()) return;
    std::vector<double> rows = widened(bar.z), delta_logp = widened(bar.delta_logp);
    run_.pull_back(false, tape.fixed, {tape.batch, size_, rows, delta_logp});
    request.rows_bar.assign(std::span<const double>(rows));
  }

 private:
  static std::vector<double> widened(const RowValues<Real>& values) {
    const std::vector<Real>& rounded = values.read();
    return {rounded.begin(), rounded.end()};
  }

  ExactRows put_rows_of_set(const SolveRequest& request, ChainState<Real>& state,
                            BatchGather<Real>& gather) const {
    const std::span<const std::uint32_t> indices = request.rows.indices;
    require(request.direction == Direction::Forward && indices.size() == request.batch,
            "a batch of a data set needs an index a row, and goes from data to base");
    if (const auto* images = dynamic_cast<const ImageRows<Real>*>(request.rows.set)) {
      if (has_blocks_ && images->put_on_device(request.rows, state.z, state.delta_logp)) return {};
      VisitedRows visited = images->at(request.rows);
      return put_mapped_rows(visited.z, std::move(visited.delta_logp), state);
    }
    const auto& rows = DatasetRows<Real>::of(*request.rows.set, indices);
    require(!rows.is_context(), "contexts are no samples");
    const bool on_device = rows.stays() && has_blocks_;
    gather.add(rows.values(), indices, on_device, state.z);
    ExactRows exact;
    if (const auto* delta_logp = rows.delta_logp()) {
      gather.add(*delta_logp, indices, on_device, state.delta_logp);
      for (std::uint32_t index : indices) exact.rest.push_back(rows.rest()[index]);
    }
    return exact;
  }

  ExactRows put_given_rows(const SolveRequest& request, ChainState<Real>& state,
                           ChainTape<Real>& tape) const {
    const Input& given = request.rows.given;
    require(given.size() == state.z.size(),
            "rows must hold batch × " + std::to_string(size_) + " values");
    ExactRows exact;
    if (request.direction == Direction::Reverse || run_.empty()) {
      state.z = {memory_, rounded_to<Real>(given, size_)};
      return exact;
    }
    std::vector<double> rows = given.template as<double>();
    std::vector<double> of_run(request.batch);
    std::vector<std::size_t> outside =
        run_.map({request.batch, size_, rows, of_run}, request.outside,
                 request.keep_tape ? &tape.fixed : nullptr);
    exact = put_mapped_rows(rows, std::move(of_run), state);
    exact.outside = std::move(outside);
    return exact;
  }

  // Rows behind the run, and their Δlogp there.
  ExactRows put_mapped_rows(const std::vector<double>& rows, std::vector<double> of_run,
                            ChainState<Real>& state) const {
    state.z = {memory_, rounded_to<Real>(rows, size_)};
    ExactRows exact{std::move(of_run), {}};
    const std::span<Real> delta_logp = state.delta_logp.on_host();
    for (std::size_t b = 0; b < exact.rest.size(); ++b) {
      delta_logp[b] = static_cast<Real>(exact.rest[b]);
      exact.rest[b] -= double(delta_logp[b]);
    }
    return exact;
  }

  void put_contexts(const SolveRequest& request, RowValues<Real>& context,
                    BatchGather<Real>& gather) const {
    if (!request.context.set) {
      context = {memory_,
                 given_contexts<Real>(flow_.context, request.context.given, request.batch)};
      return;
    }
    const std::span<const std::uint32_t> indices = request.context.indices;
    const auto& rows = DatasetRows<Real>::of(*request.context.set, indices);
    require(rows.is_context() && indices.size() == request.batch,
            "a batch of a data set needs an index a row, and its contexts");
    gather.add(rows.values(), indices, rows.stays(), context);
  }

  const FlowDescription& flow_;
  const std::size_t size_;  // of a sample
  const FixedRun& run_;
  const bool has_blocks_;
  DeviceMemory<Real>& memory_;
};

}  // namespace ffjord
