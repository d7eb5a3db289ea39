#include "reference/row_system.h"

namespace ffjord::reference {

RowSystem::RowSystem(const Dynamics& dynamics, const DynamicsPlan& plan, bool reverse,
                     std::size_t batch, View eps, View context)
    : dynamics_(dynamics),
      plan_(plan),
      direction_(reverse ? -1 : 1),
      batch_(batch),
      regularisers_(plan.regularisers.count()),
      eps_(eps),
      context_(context) {}

void RowSystem::derivative(double t, View state, Target rate) const {
  dynamics_.evaluate(plan_, point(t, state), {z(rate), delta_logp(rate), regularisers(rate)});
  for (double& value : delta_logp(rate)) value = -value;
  for (double& value : regularisers(rate)) value *= direction_;
}

double RowSystem::pullback(double t, View state, View rate_bar, Target z_bar, Target gradients,
                           Target context_bar) const {
  Vector bar(rate_bar.begin(), rate_bar.end());
  for (double& value : delta_logp(bar)) value = -value;
  for (double& value : regularisers(bar)) value *= direction_;
  return dynamics_.pullback(plan_, point(t, state), {z(bar), delta_logp(bar), regularisers(bar)},
                            z_bar, gradients, context_bar);
}

std::vector<Tensor> RowSystem::tensors() const {
  return {{0, batch_, dynamics_.dimension(), true},
          {z_size(), batch_, 1, true},
          {z_size() + batch_, batch_, regularisers_, false}};
}

}  // namespace ffjord::reference
