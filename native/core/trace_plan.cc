#include "core/trace_plan.h"

#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

// Multiply-adds of one layer on one row.
double layer_cost(const std::vector<int>& in, const std::vector<int>& out, int stride) {
  if (stride == 0) return double(in[0]) * out[0];
  const double taps = stride == 1 ? 9 : stride == 2 ? 16 : 4;  // a transposed filter meets 4 of 16
  return taps * in[0] * double(element_count(out));
}

struct NetCost {
  double all = 0;     // Σ
  double hidden = 0;  // Σ without the first and the last layer
};

NetCost net_cost(const Net& net, const std::vector<int>& shape) {
  const auto shapes = layer_shapes(net, shape);
  NetCost cost;
  for (std::size_t l = 0; l + 1 < shapes.size(); ++l) {
    const double one =
        layer_cost(shapes[l], shapes[l + 1], net.convolutional() ? net.strides[l] : 0);
    cost.all += one;
    if (l > 0 && l + 2 < shapes.size()) cost.hidden += one;
  }
  return cost;
}

TracePlan exact_plan(const Net& net, const std::vector<int>& shape,
                     const Regularisers& regularisers) {
  const int dimension = static_cast<int>(element_count(shape));
  const TracePlan tangents{Divergence::UnitTangents, NoiseLaw::Gaussian, dimension};
  const bool closed = !net.convolutional() && !regularisers.jacobian && net.hidden.size() <= 2 &&
                      !net.hidden.empty();
  if (!closed) return tangents;
  const TracePlan form{net.hidden.size() == 1 ? Divergence::ClosedOneHidden
                                              : Divergence::ClosedTwoHidden};
  return cost(net, shape, form) <= cost(net, shape, tangents) ? form : tangents;
}

}  // namespace

double cost(const Net& net, const std::vector<int>& shape, const TracePlan& plan) {
  const NetCost c = net_cost(net, shape);
  switch (plan.divergence) {
    case Divergence::ClosedOneHidden:
      return c.all;
    case Divergence::ClosedTwoHidden:
      return c.all + double(net.hidden[0]) * net.hidden[1];
    case Divergence::UnitTangents:
      // The first layer's tangents are columns of W, and of the last only the diagonal is needed.
      return net.convolutional() ? c.all * (1 + plan.probes) : c.all + plan.probes * c.hidden;
    case Divergence::Tangent:
    case Divergence::Vjp:
      return c.all * (1 + plan.probes);
  }
  return 0;
}

TracePlan plan_trace(const Net& net, const std::vector<int>& shape, const TraceOptions& options,
                     const Regularisers& regularisers) {
  if (options.mode == TraceMode::Exact) return exact_plan(net, shape, regularisers);

  if (options.mode == TraceMode::Auto) {
    const TracePlan exact = exact_plan(net, shape, regularisers);
    const TracePlan estimate{Divergence::Tangent, options.noise, 1};
    return cost(net, shape, exact) <= 2 * cost(net, shape, estimate) ? exact : estimate;
  }
  if (options.form == TraceForm::Vjp && regularisers.jacobian)
    throw Error(ErrorCode::Unsupported,
                "the jacobian regulariser needs tangents; use trace.form 'tangent'");
  return {options.form == TraceForm::Vjp ? Divergence::Vjp : Divergence::Tangent, options.noise,
          options.probes};
}

std::string describe(const TracePlan& plan) {
  switch (plan.divergence) {
    case Divergence::ClosedOneHidden:
    case Divergence::ClosedTwoHidden:
      return "exact (closed form)";
    case Divergence::UnitTangents:
      return "exact (unit tangents)";
    case Divergence::Tangent:
    case Divergence::Vjp:
      break;
  }
  const std::string law = plan.noise == NoiseLaw::Rademacher ? "rademacher" : "gaussian";
  return "hutchinson (" + law + ", " + std::to_string(plan.probes) +
         (plan.probes == 1 ? " probe, " : " probes, ") +
         (plan.divergence == Divergence::Vjp ? "vjp)" : "tangent)");
}

}  // namespace ffjord
