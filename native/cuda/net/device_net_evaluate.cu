// Which passes an evaluation of a net is made of, and its pullback.
#include "cuda/net/branches.h"
#include "cuda/net/divergence_bottleneck.h"
#include "cuda/net/divergence_closed.h"
#include "cuda/net/divergence_lattices.h"
#include "cuda/net/divergence_vjp.h"
#include "cuda/net/layer_pullback.h"
#include "cuda/net/octet_way.h"
#include "cuda/step/step_rows.h"

namespace ffjord::cuda {
namespace {

// Channels of a stage's point that the first layer combines itself, once a column of its tiles;
// more where they are split once for all.
constexpr int kMostCombined = 128;

}  // namespace

void DeviceNet::evaluate(Evaluation& e, PullbackScratch* scratch, const EvaluationForm& wanted,
                         const FieldPoint& at, const FieldColumns<float>& rates,
                         TapeUse use) const {
  FieldPoint point = at;
  const bool combines = use != TapeUse::Read && !convolutional_ &&
                        (dimension_ <= kMostCombined || (octets_of(layers_.front()).slabs &&
                                                         take_octets(point.groups, point.batch)));
  if (!point.z.has_values() && !combines)
    combine_point(point.groups, point.batch, dimension_, point.z, stream_);
  e.form = wanted;
  const bool vjp = wanted.vjp && use == TapeUse::Pass;
  if (vjp) e.form.tangents = 0;
  e.times.rows = conditional() ? 1 : point.groups.rows;
  set_times(arrays(), layers_, {point.groups, point.c, point.batch, point.terms}, e.times, stream_);
  if (e.form.encoder > 0) return evaluate_bottleneck(*this, e, point, rates, use);

  if (convolutional_) {
    enter_branches(*this, e, point);
    if (e.form.lattices)
      evaluate_lattices(*this, e, point, rates, use);
    else
      push_branches(*this, e, point, vjp ? TapeUse::Keep : use);
  } else {
    push(*this, e, whole_pass(*this, e, point), point, vjp ? TapeUse::Keep : use);
  }
  FieldArguments field = field_of(*this, e, point);
  if (e.form.closed) close_trace(*this, e, point, use, field);
  FieldColumns<float> columns = rates;
  if (e.form.lattices) columns.divergence = nullptr;  // it is there
  write_rates(field, columns, stream_);
  if (!vjp) return;
  if (!convolutional_)
    return add_vjp(*this, e, *scratch, point, whole_pass(*this, e, point), point.eps, rates);
  for (std::size_t branch = 0; branch < branches_.size(); ++branch)
    add_vjp(*this, e, *scratch, point, branch_pass(*this, e, branch), e.images[branch].tangents,
            rates);
}

void DeviceNet::pullback(const Evaluation& e, PullbackScratch& scratch, const FieldPoint& point,
                         const FieldColumns<const float>& bars, const FieldTargets& targets) const {
  Reverse reverse{*this, e, scratch, point, targets, targets.times ? scratch.time_bars : nullptr};
  if (e.form.encoder > 0) {
    pull_bottleneck(reverse, bars);
  } else {
    seed(reverse, bars, false);
    if (e.form.lattices) {
      pull_lattices(reverse, bars);
    } else if (convolutional_) {
      pull_branches(reverse);
    } else {
      const LayerPass pass = whole_pass(*this, e, point);
      if (e.form.closed) pull_closed_trace(reverse, bars);
      pull_layers(reverse, pass);
      pull_rows(reverse, pass, true);
    }
  }
  if (targets.times)
    scratch.used_time_parts =
        static_cast<int>((reverse.time_bars - scratch.time_bars) / point.batch);
}

}  // namespace ffjord::cuda
