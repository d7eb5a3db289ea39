#include "core/trace_plan.h"

#include <algorithm>
#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

struct NetCost {
  double all = 0;      // Σ
  double encoder = 0;  // Σ of the first `encoder` layers
};

NetCost net_cost(const NetPlan& net, int encoder) {
  NetCost cost;
  for (std::size_t l = 0; l < net.layers.size(); ++l) {
    const double one = net.layers[l].map.multiply_adds();
    cost.all += one;
    if (l < std::size_t(encoder)) cost.encoder += one;
  }
  return cost;
}

double branch_cost(const NetPlan& net, const Branch& branch) {
  double cost = 0;
  for (std::size_t l = branch.first; l < branch.end; ++l) cost += net.layers[l].map.multiply_adds();
  return cost;
}

TracePlan lattice_plan(const NetPlan& net) {
  std::size_t probes = 0;
  for (const ProbeLattice& lattice : probe_lattices(net)) probes += lattice.count();
  return {Divergence::Lattices, NoiseLaw::Gaussian, static_cast<int>(probes)};
}

TracePlan exact_plan(const NetPlan& net, const Regularisers& regularisers) {
  const TracePlan tangents{Divergence::UnitTangents, NoiseLaw::Gaussian,
                           static_cast<int>(net.size_in())};
  if (net.convolutional() && !regularisers.needing(Derivatives::Tangents)) return lattice_plan(net);
  const std::size_t hidden = net.hidden_count();
  const bool closed = !net.convolutional() && !net.has_row_weights() &&
                      !regularisers.needing(Derivatives::Tangents) && (hidden == 1 || hidden == 2);
  if (!closed) return tangents;
  const TracePlan form{hidden == 1 ? Divergence::ClosedOneHidden : Divergence::ClosedTwoHidden};
  return cost(net, form) <= cost(net, tangents) ? form : tangents;
}

void require_off_diagonal(const NetPlan& net, const Regularisers& regularisers) {
  if (net.size_in() > 1) return;
  for (const Regulariser* one : regularisers)
    if (one->sum == RowSum::SquaredOffDiagonal)
      throw Error(ErrorCode::Unsupported,
                  std::string(one->name) +
                      " has no meaning in one dimension, where the Jacobian is its diagonal; leave "
                      "it out");
}

// An estimate by tangents or by pullbacks.
TracePlan estimate_plan(const NetPlan& net, const TraceOptions& options) {
  TracePlan plan{options.form == TraceForm::Vjp ? Divergence::Vjp : Divergence::Tangent,
                 options.noise, options.probes};
  if (options.lattice == 0) return plan;
  if (!net.convolutional())
    throw Error(ErrorCode::Unsupported,
                "noise on lattices is for convolutions; leave trace.lattice out with dense nets");
  const LinearMap& first = net.layers.front().map;
  plan.lattice = probe_lattice(first.channels_in, first.plane_in, options.lattice);
  if (double(plan.probes) * double(plan.lattice.count()) > 65535)
    throw Error(ErrorCode::Unsupported,
                "noise on lattices of " + std::to_string(first.channels_in) + " channels makes " +
                    std::to_string(plan.lattice.count()) +
                    " probes a set, and there are at most 65535; use a smaller trace.lattice, or "
                    "fewer probes");
  plan.probes *= static_cast<int>(plan.lattice.count());
  return plan;
}

TracePlan bottleneck_plan(const NetPlan& net, const TraceOptions& options,
                          const Regularisers& regularisers) {
  const auto narrowest =
      std::min_element(net.layers.begin(), net.layers.end() - 1,
                       [](const LayerPlan& a, const LayerPlan& b) { return a.out() < b.out(); });
  if (net.has_row_weights())
    throw Error(ErrorCode::Unsupported,
                "bottleneck noise is for weights that all rows share; leave bottleneck out");
  if (net.convolutional())
    throw Error(ErrorCode::Unsupported,
                "bottleneck noise is for dense nets; leave bottleneck out with convolutions");
  if (net.hidden_count() == 0 || narrowest->out() >= net.layers.front().in())
    throw Error(ErrorCode::Unsupported,
                "no hidden layer is narrower than the " + std::to_string(net.size_in()) +
                    " columns of the data, so that bottleneck noise would gain nothing; leave "
                    "bottleneck out, or narrow a hidden layer");
  if (options.form == TraceForm::Vjp)
    throw Error(ErrorCode::Unsupported,
                "bottleneck noise has a form of its own; leave trace.form out");
  if (options.lattice > 0)
    throw Error(ErrorCode::Unsupported,
                "bottleneck noise has no image to lie on; leave trace.lattice out");
  if (const Regulariser* one = regularisers.needing(Derivatives::Tangents))
    throw Error(ErrorCode::Unsupported,
                "the regulariser " + std::string(one->name) +
                    " needs tangents of the whole net, which bottleneck noise does not make; leave "
                    "trace.bottleneck out, or use the regulariser kinetic");
  const int encoder = static_cast<int>(narrowest - net.layers.begin()) + 1;
  return {Divergence::Bottleneck, options.noise, options.probes, encoder, narrowest->out()};
}

}  // namespace

double cost(const NetPlan& net, const TracePlan& plan) {
  const NetCost c = net_cost(net, plan.encoder);
  switch (plan.divergence) {
    case Divergence::ClosedOneHidden:
      return c.all;
    case Divergence::ClosedTwoHidden:
      return c.all + double(net.layers[0].out()) * net.layers[1].out();
    case Divergence::Lattices: {
      double sum = c.all;
      for (const Branch& branch : net.branches)
        sum += double(probe_lattice(net, branch).count()) * branch_cost(net, branch);
      return sum;
    }
    case Divergence::UnitTangents:  // which pass the first and the last layer as others do
    case Divergence::Tangent:
    case Divergence::Vjp:
      return c.all * (1 + plan.probes);
    case Divergence::Bottleneck:
      return c.all * (1 + plan.probes) + c.encoder;  // which runs twice
  }
  return 0;
}

TracePlan plan_trace(const NetPlan& net, const TraceOptions& options,
                     const Regularisers& regularisers) {
  const Regulariser* whole = regularisers.needing(Derivatives::Jacobian);
  require_off_diagonal(net, regularisers);
  if (options.mode == TraceMode::Exact || (whole && options.mode == TraceMode::Auto))
    return exact_plan(net, regularisers);
  if (whole)
    throw Error(ErrorCode::Unsupported,
                "the regulariser " + std::string(whole->name) +
                    " needs the whole Jacobian, which makes the divergence exact: use trace "
                    "'exact' or 'auto', or the regulariser jacobian, which probes estimate");

  if (options.mode == TraceMode::Auto) {
    const TracePlan exact = exact_plan(net, regularisers);
    const TracePlan estimate{Divergence::Tangent, options.noise, 1};
    return cost(net, exact) <= 2 * cost(net, estimate) ? exact : estimate;
  }
  if (options.form == TraceForm::Vjp && regularisers.needing(Derivatives::Tangents))
    throw Error(ErrorCode::Unsupported,
                "the jacobian regulariser needs tangents; use trace.form 'tangent'");
  if (options.form == TraceForm::Vjp && net.has_row_weights())
    throw Error(ErrorCode::Unsupported,
                "weights that differ from row to row need tangents; use trace.form 'tangent'");
  if (options.bottleneck) return bottleneck_plan(net, options, regularisers);
  return estimate_plan(net, options);
}

std::string describe(const TracePlan& plan) {
  switch (plan.divergence) {
    case Divergence::ClosedOneHidden:
    case Divergence::ClosedTwoHidden:
      return "exact (closed form)";
    case Divergence::UnitTangents:
      return "exact (unit tangents)";
    case Divergence::Lattices:
      return "exact (lattice probes)";
    case Divergence::Tangent:
    case Divergence::Vjp:
    case Divergence::Bottleneck:
      break;
  }
  const std::string law = plan.noise == NoiseLaw::Rademacher ? "rademacher" : "gaussian";
  return "hutchinson (" + law + ", " + std::to_string(plan.probes) +
         (plan.probes == 1 ? " probe" : " probes") +
         (plan.on_lattices() ? " on lattices, " : ", ") +
         (plan.divergence == Divergence::Bottleneck
              ? "bottleneck of " + std::to_string(plan.width) + ")"
          : plan.divergence == Divergence::Vjp ? "vjp)"
                                               : "tangent)");
}

}  // namespace ffjord
