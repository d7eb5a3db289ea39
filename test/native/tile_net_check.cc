// Checks the CPU kernels against plain loops, and measures them.
//
//   tile_net_check [check|verbose|speed] [part of a case's name]
//
// check: every case on every instruction set of this processor; exit code 1 on a miss. verbose:
// prints all errors. speed: shares of the fused multiply-add peak, one core.
//
// A miss is an error above twice that of plain float32 loops (and above 2e-6 of the array's largest
// entry), both against float64.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/flow_layout.h"
#include "cpu/tile_net.h"
#include "test/native/plain_net.h"
#include "test/native/tile_net_case.h"
#include "test/native/tile_net_speed.h"

namespace ffjord::check {
namespace {

/// Everything that an evaluation and its pullback give, as rows; t̄ is last in `gradients`.
template <class Real>
struct Results {
  std::vector<Real> f, divergence, regularisers, z_bar, times_bar, gradients;
  std::map<std::size_t, Real> beta_sizes;  // of the plain loops
};

template <class Real>
std::vector<std::vector<Real>> tangents_of(const Case& c, const Inputs& inputs, std::size_t row) {
  const std::size_t dimension = c.widths[0];
  const bool exact = c.trace.exact();
  const std::size_t count = exact ? dimension : c.trace.probes;
  std::vector<std::vector<Real>> eps(count, std::vector<Real>(dimension, 0));
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t i = 0; i < dimension; ++i)
      eps[k][i] = exact ? Real(i == k) : Real(inputs.eps[(k * inputs.batch + row) * dimension + i]);
  return eps;
}

template <class Real>
Results<Real> plain(const Case& c, const FlowDescription& flow, const FlowLayout& layout,
                    const Inputs& inputs) {
  const std::size_t dimension = c.widths[0], batch = inputs.batch,
                    channels = c.regularisers.count();
  PlainNet<Real> net(std::get<Cnf>(flow.blocks[0]).net, c.widths[0], layout.blocks[0],
                     {inputs.parameters.begin(), inputs.parameters.end()});
  Results<Real> results;
  results.f.resize(batch * dimension);
  results.divergence.resize(batch);
  results.regularisers.resize(batch * channels);
  results.z_bar.resize(batch * dimension);
  results.gradients.resize(layout.parameter_count + 1);
  results.times_bar.resize(batch);
  std::vector<Real> f_bar(dimension);
  for (std::size_t row = 0; row < batch; ++row) {
    const auto eps = tangents_of<Real>(c, inputs, row);
    const Real weight = c.trace.exact() ? Real(1) : 1 / Real(eps.size());
    const std::vector<Real> z(&inputs.z[row * dimension], &inputs.z[row * dimension] + dimension);
    net.evaluate(inputs.times[row], z.data(), eps, weight, c.regularisers,
                 &results.f[row * dimension], results.divergence[row],
                 results.regularisers.data() + row * channels);
    PlainCotangents<Real> bar{.f = f_bar.data(), .divergence = inputs.divergence_bar[row]};
    const auto regularisers_bar = inputs.regularisers_bar.begin() + row * channels;
    bar.regularisers.assign(regularisers_bar, regularisers_bar + channels);
    for (std::size_t i = 0; i < dimension; ++i) f_bar[i] = inputs.f_bar[row * dimension + i];
    const Real t_bar = net.pullback(inputs.times[row], eps, weight, c.regularisers, bar,
                                    &results.z_bar[row * dimension], results.gradients);
    results.times_bar[row] = t_bar;
    if (!c.own_times) results.gradients.back() += t_bar;
  }
  results.beta_sizes = net.beta_sizes;
  return results;
}

/// ⟨cotangents, outputs⟩ by the plain net: what the gradients differentiate.
double objective(const Case& c, const FlowDescription& flow, const FlowLayout& layout,
                 const Inputs& inputs, const std::vector<double>& parameters,
                 const std::vector<double>& z, double t_shift) {
  const std::size_t dimension = c.widths[0], channels = c.regularisers.count();
  PlainNet<double> net(std::get<Cnf>(flow.blocks[0]).net, c.widths[0], layout.blocks[0],
                       parameters);
  double sum = 0;
  std::vector<double> f(dimension);
  for (std::size_t row = 0; row < inputs.batch; ++row) {
    const auto eps = tangents_of<double>(c, inputs, row);
    double divergence;
    std::vector<double> regularisers(channels);
    net.evaluate(inputs.times[row] + t_shift, &z[row * dimension], eps,
                 c.trace.exact() ? 1. : 1. / eps.size(), c.regularisers, f.data(), divergence,
                 regularisers.data());
    for (std::size_t i = 0; i < dimension; ++i) sum += inputs.f_bar[row * dimension + i] * f[i];
    sum += inputs.divergence_bar[row] * divergence;
    for (std::size_t i = 0; i < channels; ++i)
      sum += inputs.regularisers_bar[row * channels + i] * regularisers[i];
  }
  return sum;
}

double largest_difference(const std::vector<double>& truth, const auto& values) {
  double scale = 1e-30, difference = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    scale = std::max(scale, std::fabs(truth[i]));
    const double d = std::fabs(truth[i] - double(values[i]));
    if (!(d <= difference)) difference = d;
  }
  return difference / scale;
}

/// Largest relative error of the plain pullback in float64 against central differences.
double finite_difference_error(const Case& c, const FlowDescription& flow, const FlowLayout& layout,
                               const Inputs& inputs, const Results<double>& truth) {
  const std::vector<double> parameters(inputs.parameters.begin(), inputs.parameters.end());
  const std::vector<double> z(inputs.z.begin(), inputs.z.end());
  const double h = 1e-5;
  std::vector<double> expected, found;
  const auto probe = [&](std::vector<double> values, std::size_t i, bool of_z) {
    const double at = values[i];
    double sides[2];
    for (int side : {0, 1}) {
      values[i] = at + (side ? h : -h);
      sides[side] = of_z ? objective(c, flow, layout, inputs, parameters, values, 0)
                         : objective(c, flow, layout, inputs, values, z, 0);
    }
    return (sides[1] - sides[0]) / (2 * h);
  };
  std::mt19937 random(1);
  for (const Parameter& p : layout.parameters)
    for (int repeat = 0; repeat < 4; ++repeat) {
      const std::size_t i = p.offset + random() % p.size;
      expected.push_back(truth.gradients[i]);
      found.push_back(probe(parameters, i, false));
    }
  for (int repeat = 0; repeat < 6; ++repeat) {
    const std::size_t i = random() % z.size();
    expected.push_back(truth.z_bar[i]);
    found.push_back(probe(z, i, true));
  }
  double t_bar = 0;
  for (double t : truth.times_bar) t_bar += t;
  expected.push_back(t_bar);
  found.push_back((objective(c, flow, layout, inputs, parameters, z, h) -
                   objective(c, flow, layout, inputs, parameters, z, -h)) /
                  (2 * h));
  return largest_difference(expected, found);
}

Results<float> kernels(const Case& c, const FlowLayout& layout, const Inputs& inputs,
                       std::string_view instruction_set) {
  const std::size_t dimension = c.widths[0], batch = inputs.batch,
                    channels = c.regularisers.count();
  const BlockContext<float> context{layout.blocks[0], inputs.parameters};
  const auto net = cpu::make_tile_net(instruction_set, context);
  const std::size_t tile = net->rows();
  const auto time = net->make_time_slot(c.trace);
  const auto memory = net->make_activations(c.trace, c.regularisers);
  const auto gradient = net->make_gradient_slot(c.trace);
  gradient->clear();
  Results<float> results;
  results.f.resize(batch * dimension);
  results.divergence.resize(batch);
  results.regularisers.resize(batch * channels);
  results.z_bar.resize(batch * dimension);
  results.times_bar.resize(batch);
  results.gradients.resize(layout.parameter_count + 1);
  double t_bar = 0;
  if (!c.own_times) net->set_time(*time, inputs.times[0]);
  for (std::size_t first = 0; first < batch; first += tile) {
    const auto z = to_tile(inputs.z, batch, first, tile, dimension);
    const auto f_bar = to_tile(inputs.f_bar, batch, first, tile, dimension);
    const auto divergence_bar = to_tile(inputs.divergence_bar, batch, first, tile, 1);
    const auto regularisers_bar = to_tile(inputs.regularisers_bar, batch, first, tile, channels);
    std::vector<float> eps;
    for (int k = 0; k < (c.trace.exact() ? 0 : c.trace.probes); ++k) {
      const auto begin = inputs.eps.begin() + k * batch * dimension;
      const auto probe = to_tile({begin, begin + batch * dimension}, batch, first, tile, dimension);
      eps.insert(eps.end(), probe.begin(), probe.end());
    }
    const float poison = std::nanf("");
    std::vector<float> f(tile * dimension, poison), divergence(tile, poison),
        regularisers(tile * channels, poison), z_bar(tile * dimension, poison);
    std::vector<double> times_bar(tile, 0.);
    if (c.own_times) net->set_times(*time, to_tile(inputs.times, batch, first, tile, 1).data());
    net->evaluate(*time,
                  {.z = z.data(),
                   .eps = eps.empty() ? nullptr : eps.data(),
                   .f = f.data(),
                   .divergence = divergence.data(),
                   .regularisers = channels ? regularisers.data() : nullptr},
                  *memory, true);
    t_bar += net->pullback(*time,
                           {.eps = eps.empty() ? nullptr : eps.data(),
                            .f = f_bar.data(),
                            .divergence = divergence_bar.data(),
                            .regularisers = channels ? regularisers_bar.data() : nullptr,
                            .z = z_bar.data()},
                           *memory, gradient.get(), c.own_times ? times_bar.data() : nullptr);
    // Values alone, and without a tape, must be the same values.
    std::vector<float> alone(tile * dimension, poison), divergence_again(tile, poison);
    net->evaluate(*time, {.z = z.data(), .f = alone.data()}, *memory, false);
    if (alone != f) results.f.assign(results.f.size(), poison);
    net->evaluate(*time,
                  {.z = z.data(),
                   .eps = eps.empty() ? nullptr : eps.data(),
                   .f = alone.data(),
                   .divergence = divergence_again.data(),
                   .regularisers = channels ? regularisers.data() : nullptr},
                  *memory, false);
    if (alone != f || divergence_again != divergence) results.f.assign(results.f.size(), poison);
    for (std::size_t r = 0; r < tile && first + r < batch; ++r) {
      for (std::size_t i = 0; i < dimension; ++i) {
        results.f[(first + r) * dimension + i] += f[i * tile + r];
        results.z_bar[(first + r) * dimension + i] = z_bar[i * tile + r];
      }
      for (std::size_t i = 0; i < channels; ++i)
        results.regularisers[(first + r) * channels + i] = regularisers[i * tile + r];
      results.divergence[first + r] = divergence[r];
      results.times_bar[first + r] = static_cast<float>(times_bar[r]);
    }
  }
  net->add_sums(*gradient, 1.f, std::span(results.gradients).first(layout.parameter_count));
  if (!c.own_times) results.gradients.back() = static_cast<float>(t_bar);
  return results;
}

bool check(const Case& c, bool verbose) {
  const FlowDescription flow = describe(c);
  const FlowLayout layout(flow);
  const std::size_t batch = 43;
  const Inputs inputs = make_inputs(c, layout, batch);
  Results<double> truth = plain<double>(c, flow, layout, inputs);
  Results<float> yardstick = plain<float>(c, flow, layout, inputs);
  bool good = true;
  const double differences = finite_difference_error(c, flow, layout, inputs, truth);
  // The slopes of relu and elu jump.
  const bool kinks = c.activation == Activation::Relu || c.activation == Activation::Elu;
  if (!(differences < (kinks ? 1e-2 : 1e-6))) {
    good = false;
    std::printf("MISS %s: plain loops differ from finite differences by %.1e\n", name(c).c_str(),
                differences);
  }
  // t̄ is one number, which may cancel: measured against the sizes of the rows' shares.
  float size = 0;
  for (double t_bar : truth.times_bar) size += std::fabs(float(t_bar));
  const std::vector<double> t_bar = {truth.gradients.back(), size};
  const std::vector<float> t_bar_in_float = {yardstick.gradients.back(), size};
  if (!c.own_times) truth.times_bar.clear();
  for (std::string_view instruction_set : cpu::instruction_sets()) {
    const Results<float> found = kernels(c, layout, inputs, instruction_set);
    const auto compare = [&](const char* what, const std::vector<double>& expected,
                             const std::vector<float>& measure, const std::vector<float>& values) {
      if (expected.empty()) return;
      const double error = largest_difference(expected, values);
      const double allowed = 2 * largest_difference(expected, measure) + 2e-6;
      if (error <= allowed && !verbose) return;
      std::printf("%s %s %s %s: error %.1e, plain float32 %.1e\n",
                  error <= allowed ? "ok  " : "MISS", std::string(instruction_set).c_str(),
                  name(c).c_str(), what, error, (allowed - 2e-6) / 2);
      if (!(error <= allowed)) good = false;
    };
    compare("f", truth.f, yardstick.f, found.f);
    compare("divergence", truth.divergence, yardstick.divergence, found.divergence);
    compare("regularisers", truth.regularisers, yardstick.regularisers, found.regularisers);
    compare("z_bar", truth.z_bar, yardstick.z_bar, found.z_bar);
    compare("times_bar", truth.times_bar, yardstick.times_bar, found.times_bar);
    for (const Parameter& p : layout.parameters) {
      const auto part = [&](const auto& all) {
        std::vector values(all.begin() + p.offset, all.begin() + p.offset + p.size);
        if (p.role == Role::Beta) values.push_back(truth.beta_sizes.at(p.offset));
        return values;
      };
      if (p.role == Role::EndTime) continue;
      compare(p.name.c_str(), part(truth.gradients), part(yardstick.gradients),
              part(found.gradients));
    }
    if (!c.own_times) compare("t_bar", t_bar, t_bar_in_float, {found.gradients.back(), size});
  }
  return good;
}

constexpr LayerKind kLayers[] = {LayerKind::Ignore, LayerKind::Concat,       LayerKind::ConcatV2,
                                 LayerKind::Squash, LayerKind::ConcatSquash, LayerKind::Blend,
                                 LayerKind::Hyper};
constexpr Activation kActivations[] = {
    Activation::Tanh,  Activation::Softplus, Activation::Elu,     Activation::Relu,
    Activation::Swish, Activation::Square,   Activation::Identity};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (LayerKind layer : kLayers)
    for (bool own : {false, true}) {
      if (own && layer == LayerKind::Hyper) continue;
      const Activation tanh = Activation::Tanh, softplus = Activation::Softplus;
      all.push_back({{2, 16, 16}, layer, tanh, trace(Divergence::Tangent, 1), false, {}, own});
      all.push_back({{3, 7, 5, 9}, layer, softplus, trace(Divergence::Tangent, 2), true, {}, own});
      all.push_back({{2, 9, 8}, layer, tanh, trace(Divergence::UnitTangents, 2), false, {}, own});
      all.push_back({{5, 6, 11},
                     layer,
                     tanh,
                     trace(Divergence::UnitTangents, 5),
                     false,
                     {"kinetic", "jacobian"},
                     own});
      all.push_back({{3, 13},
                     layer,
                     softplus,
                     trace(Divergence::ClosedOneHidden, 0),
                     true,
                     {"kinetic"},
                     own});
      all.push_back(
          {{4, 17, 10}, layer, tanh, trace(Divergence::ClosedTwoHidden, 0), false, {}, own});
      all.push_back({{3, 6, 20, 5}, layer, softplus, trace(Divergence::Vjp, 1), false, {}, own});
    }
  for (Activation activation : kActivations)
    for (LayerKind layer : {LayerKind::Concat, LayerKind::ConcatSquash}) {
      all.push_back({{3, 10, 12}, layer, activation, trace(Divergence::Tangent, 1)});
      all.push_back({{2, 10, 12}, layer, activation, trace(Divergence::UnitTangents, 2), true});
      all.push_back({{3, 10, 12},
                     layer,
                     activation,
                     trace(Divergence::Tangent, 3),
                     false,
                     {"kinetic", "jacobian"}});
      all.push_back({{3, 10, 12}, layer, activation, trace(Divergence::ClosedTwoHidden, 0)});
      all.push_back({{3, 10, 12}, layer, activation, trace(Divergence::Vjp, 2), true, {"kinetic"}});
    }
  const LayerKind concatsquash = LayerKind::ConcatSquash;
  for (const Regulariser& one : regulariser_table())
    for (bool residual : {false, true}) {
      const Activation softplus = Activation::Softplus;
      const std::vector<int> widths = {4, 9, 12, 7};
      all.push_back({widths,
                     concatsquash,
                     softplus,
                     trace(Divergence::UnitTangents, 4),
                     residual,
                     {one.name}});
      if (one.needs != Derivatives::Jacobian)
        all.push_back(
            {widths, concatsquash, softplus, trace(Divergence::Tangent, 3), residual, {one.name}});
    }
  all.push_back(
      {{3, 8},
       concatsquash,
       Activation::Tanh,
       trace(Divergence::UnitTangents, 3),
       true,
       {"kinetic", "l1int", "l2int", "dl2int", "JFrobint", "JdiagFrobint", "JoffdiagFrobint"}});
  for (int width : {1, 2, 3, 5, 43, 64}) {
    all.push_back({{width, 20, 33}, concatsquash, Activation::Tanh, trace(Divergence::Tangent, 1)});
    all.push_back(
        {{3, width, 21}, concatsquash, Activation::Softplus, trace(Divergence::Tangent, 4)});
    all.push_back({{2, width, width},
                   LayerKind::Concat,
                   Activation::Tanh,
                   trace(Divergence::UnitTangents, 2)});
    all.push_back(
        {{width, width, 7}, concatsquash, Activation::Tanh, trace(Divergence::ClosedTwoHidden, 0)});
    all.push_back(
        {{width, 19}, concatsquash, Activation::Tanh, trace(Divergence::ClosedOneHidden, 0)});
  }
  all.push_back({{1}, concatsquash, Activation::Tanh, trace(Divergence::UnitTangents, 1)});
  all.push_back(
      {{7, 131}, LayerKind::Concat, Activation::Softplus, trace(Divergence::UnitTangents, 7)});
  return all;
}

}  // namespace
}  // namespace ffjord::check

int main(int count, char** arguments) {
  using namespace ffjord::check;
  const std::string mode = count > 1 ? arguments[1] : "check",
                    filter = count > 2 ? arguments[2] : "";
  if (mode == "speed") {
    speed(filter);
    return 0;
  }
  int misses = 0, run = 0;
  for (const Case& c : cases()) {
    if (name(c).find(filter) == std::string::npos) continue;
    ++run;
    if (!check(c, mode == "verbose")) ++misses;
  }
  std::printf("%d cases, %d missed\n", run, misses);
  return misses ? 1 : 0;
}
