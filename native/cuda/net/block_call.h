// What a block's solves and pullbacks are called with, whichever way they take.
#pragma once

#include "cuda/net/device_net.h"
#include "cuda/step/solve_outcome.h"

namespace ffjord::cuda {

struct BlockCall {
  const DeviceNet& net;
  const Stream& stream;
  const BlockPlan& plan;
  Grouping grouping;
  bool reverse = false;
  double end_time = 0;           ///< T
  const float* eps = nullptr;    ///< as FieldPoint's
  const float* terms = nullptr;  ///< (B, P) of a context (context_map.h)
  float* terms_bar = nullptr;    ///< (B, P): where a pullback adds their cotangents; null: nowhere

  double t0() const { return reverse ? end_time : 0; }
  double t1() const { return reverse ? 0 : end_time; }
  /// Regularisers are integrals over |dt|.
  float direction() const { return reverse ? -1.f : 1.f; }
  int dimension() const { return net.dimension(); }
  int regularisers() const { return plan.regularisers.count(); }
  /// A state is [z | −Δlogp | r]; −Δlogp, so that the rates are what a net gives.
  int channels() const { return dimension() + 1 + regularisers(); }
  EvaluationForm form() const {
    return net.form_of(plan.trace, plan.regularisers, true, grouping.rows == 1);
  }
  FieldPoint point(const Groups& groups, double c, const StagePoint& z) const {
    return {groups, c, grouping.batch, z, eps, direction(), terms, {}};
  }
  /// f, divergence and integrands as rates of such a state.
  template <class Value>
  FieldColumns<Value> columns(Value* rates) const {
    return {rates, channels(), rates + dimension(),
            regularisers() > 0 ? rates + dimension() + 1 : nullptr, channels()};
  }
};

}  // namespace ffjord::cuda
