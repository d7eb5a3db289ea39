// Checks of native/core that need no engine: random numbers against published vectors, tableaus
// against the order conditions, step control against its formulas, transforms against differences.
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/host_flow.h"
#include "core/philox.h"
#include "core/step_control.h"
#include "core/step_weights.h"
#include "core/tableau.h"
#include "core/trace_plan.h"

using namespace ffjord;

namespace {

int failures = 0;

void check(bool ok, const std::string& what) {
  if (!ok) ++failures;
  std::printf("%s %s\n", ok ? "ok  " : "FAIL", what.c_str());
}

// Known answers of Random123 (Salmon et al. 2011), kat_vectors: philox4x32, 10 rounds.
void check_philox() {
  check(philox({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        "philox: zeros");
  check(philox({~0u, ~0u, ~0u, ~0u}, ~0ull) ==
            PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        "philox: ones");
  check(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822ull) ==
            PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        "philox: digits of pi");
  // The word at this place is one of the last 256, whose nearest float32 is 1.
  check(draw4(NoiseLaw::Uniform, {}, 2330056, 0)[2] == 1 - 0x1p-24f && uniform_float32(0) > 0,
        "uniform noise: inside of (0, 1)");

  const std::size_t rows = 50000, columns = 5;
  std::vector<float> noise(rows * columns), half(rows / 2 * columns);
  fill_noise<float>(NoiseLaw::Gaussian, {7, 3, 1, 2}, 0, columns, noise);
  double mean = 0, square = 0, fourth = 0;
  for (float value : noise) {
    mean += value;
    square += value * value;
    fourth += std::pow(value, 4);
  }
  const double n = double(noise.size());
  check(std::abs(mean / n) < 0.01 && std::abs(square / n - 1) < 0.02 &&
            std::abs(fourth / n - 3) < 0.15,
        "gaussian noise: moments");
  fill_noise<float>(NoiseLaw::Gaussian, {7, 3, 1, 2}, rows / 2, columns, half);
  check(std::equal(half.begin(), half.end(), noise.begin() + rows / 2 * columns),
        "noise of a part is the part of the noise");
  fill_noise<float>(NoiseLaw::Rademacher, {7, 3, 1, 2}, 0, columns, noise);
  double sum = 0;
  bool signs = true;
  for (float value : noise) {
    sum += value;
    signs = signs && std::abs(value) == 1;
  }
  check(signs && std::abs(sum / n) < 0.01, "rademacher noise: signs, evenly");
}

// Rooted trees (Butcher): a tree is the multiset of the subtrees at its root.
struct Tree {
  int order;
  double density;              // γ
  std::vector<double> weight;  // Φ_i of each stage
  std::vector<double> inner;   // Σ_j a_ij Φ_j
};

std::vector<double> times_a(const Tableau& method, const std::vector<double>& phi) {
  std::vector<double> result(method.stages, 0.0);
  for (int i = 0; i < method.stages; ++i)
    for (int j = 0; j < method.stages; ++j) result[i] += method.a[i][j] * phi[j];
  return result;
}

std::vector<Tree> trees_up_to(const Tableau& method, int order) {
  std::vector<Tree> trees;
  for (int n = 1; n <= order; ++n) {
    const std::size_t known = trees.size();
    std::function<void(std::size_t, int, std::vector<double>, double)> grow =
        [&](std::size_t least, int left, std::vector<double> phi, double density) {
          if (left == 0) {
            Tree tree{n, n * density, phi, times_a(method, phi)};
            trees.push_back(std::move(tree));
            return;
          }
          for (std::size_t k = least; k < known; ++k) {
            if (trees[k].order > left) continue;
            std::vector<double> next = phi;
            for (int i = 0; i < method.stages; ++i) next[i] *= trees[k].inner[i];
            grow(k, left - trees[k].order, std::move(next), density * trees[k].density);
          }
        };
    grow(0, n - 1, std::vector<double>(method.stages, 1.0), 1.0);
  }
  return trees;
}

// The method with f(t + h, y₁) among its stages, as the interpolant has it.
Tableau with_end_stage(Tableau method) {
  if (method.fsal) return method;
  method.a[method.stages] = method.b;
  method.c[method.stages] = 1;
  ++method.stages;
  return method;
}

// Σ b_i(θ) Φ_i = θ^order / γ for the trees up to the interpolant's order; it meets y₁, and f₁
// there.
void check_dense_output(const Tableau& method) {
  const std::string name(method.name);
  double worst = 0, next = 0;
  for (const Tree& tree : trees_up_to(with_end_stage(method), method.dense_order + 1))
    for (double theta : {0.2, 0.5, 0.9}) {
      const StageWeights weights = step_weights(method, theta);
      double sum = 0;
      for (std::size_t i = 0; i < tree.weight.size(); ++i) sum += weights[i] * tree.weight[i];
      const double residual = std::abs(sum - std::pow(theta, tree.order) / tree.density);
      double& largest = tree.order <= method.dense_order ? worst : next;
      largest = std::max(largest, residual);
    }
  check(worst < 1e-13 && next > 1e-7,
        name + ": dense output of order " + std::to_string(method.dense_order));

  double end = 0, slope = 0;
  const StageWeights before = step_weights(method, 1 - 1e-4),
                     after = step_weights(method, 1 + 1e-4);
  const StageWeights almost = step_weights(method, std::nextafter(1, 2));
  for (int i = 0; i <= method.end_stage(); ++i) {
    end = std::max(end, std::abs(almost[i] - method.b[i]));
    slope = std::max(slope, std::abs((after[i] - before[i]) / 2e-4 - (i == method.end_stage())));
  }
  check(end < 1e-12 && slope < 1e-5, name + ": dense output meets y₁ and f₁");
}

void check_tableaus() {
  for (const Tableau& method : tableaus()) {
    double worst = 0, rows = 0, embedded = 0;
    bool sharp = false;           // the next order fails: the stated order is the order
    bool embedded_sharp = false;  // and so does the embedded solution's
    for (const Tree& tree : trees_up_to(method, method.order + 1)) {
      double sum = 0, error = 0;
      for (int i = 0; i < method.stages; ++i) {
        sum += method.b[i] * tree.weight[i];
        error += method.e[i] * tree.weight[i];
      }
      const double residual = std::abs(sum - 1 / tree.density);
      if (tree.order <= method.order)
        worst = std::max(worst, residual);
      else
        sharp = sharp || residual > 1e-6;
      if (tree.order < method.order) embedded = std::max(embedded, std::abs(error));
      if (tree.order == method.order) embedded_sharp = embedded_sharp || std::abs(error) > 1e-6;
    }
    for (int i = 0; i < method.stages; ++i)
      rows = std::max(rows, std::abs(std::accumulate(method.a[i].begin(), method.a[i].end(), 0.0) -
                                     method.c[i]));
    const std::string name(method.name);
    check(worst < 1e-13 && rows < 1e-14, name + ": order " + std::to_string(method.order));
    check(sharp, name + ": not of the next order");
    if (method.adaptive)
      check(embedded < 1e-14 && embedded_sharp,
            name + ": the embedded solution is of the order below");
    if (method.fsal)
      check(std::equal(method.b.begin(), method.b.end(), method.a[method.stages - 1].begin()),
            name + ": first same as last");
    check_dense_output(method);
  }
  const std::size_t counts[] = {1, 2, 4, 8, 17, 37, 85, 200};
  for (int order = 1; order <= 8; ++order)
    check(trees_up_to(tableau("dopri8"), order).size() == counts[order - 1],
          "rooted trees up to order " + std::to_string(order));
}

void check_step_control() {
  SolverOptions options;
  options.tableau = &tableau("dopri5");
  StepControl control(options, 0, 1, 0.05);  // the first step is twice as long
  control.attempt();
  check(control.judge(0.5) && control.t() == 0.1, "an accepted step moves t");
  const auto second = control.attempt();
  check(std::abs(second.h - 0.1 * 0.9 * std::pow(0.5, -0.7 / 5)) < 1e-15, "pi: first factor");
  check(!control.judge(2) && control.t() == 0.1, "a rejected step does not");
  const auto third = control.attempt();
  check(std::abs(third.h / second.h -
                 std::min(0.9, 0.9 * std::pow(2, -0.14) * std::pow(0.5, 0.08))) < 1e-14,
        "pi: factor after a reject");
  while (!control.done()) {
    control.attempt();
    control.judge(0.3);
  }
  check(control.t() == 1, "lands on the end exactly");

  StepControl even(options, 0, 1, 0.15);
  double smallest = 1, largest = 0;
  while (!even.done()) {
    const double h = even.attempt().h;
    smallest = std::min(smallest, h);
    largest = std::max(largest, h);
    even.judge(std::pow(h / 0.33, 5));
  }
  check(largest / smallest < 1.3, "no short step at the end");

  StepControl down(options, 0.5, 0, 0.2);
  double lowest = 1;
  while (!down.done()) {
    const auto attempt = down.attempt();
    check(attempt.h < 0, "reversed steps are negative");
    lowest = std::min(lowest, attempt.t + attempt.h);
    down.judge(0.9);
  }
  check(down.t() == 0 && lowest == 0, "reversed: lands on 0, never beyond");

  StepControl broken(options, 0, 1, 0.05);
  broken.attempt();
  check(!broken.judge(NAN), "one NaN rejects");
  broken.attempt();
  bool threw = false;
  try {
    broken.judge(NAN);
  } catch (const SolveFailure& failure) {
    threw = failure.t == 0 && std::abs(failure.h - 0.02) < 1e-12;
  }
  check(threw, "two in a row fail, naming t and h");

  StepControl stiff(options, 0, 1, 0.1);
  threw = false;
  try {
    for (int i = 0; i < 100; ++i) {
      stiff.attempt();
      stiff.judge(1e9);
    }
  } catch (const SolveFailure&) {
    threw = true;
  }
  check(threw, "an underflow of h fails");
}

// A flow of transforms alone: Δlogp = −log|det|, inverse, pullbacks, all by differences.
void check_transforms(const std::string& name, std::vector<Block> blocks) {
  FlowDescription description;
  description.shape = {3};
  description.blocks = std::move(blocks);
  const auto flow = make_host_flow<double>(description, 1, {});
  std::vector<double> parameters(6);
  for (int i = 0; i < 6; ++i) parameters[i] = 0.1 * (i + 1);
  flow->write(Buffer::Parameters, parameters);
  const std::vector<double> buffers = {0.3, -0.1, 0.2, 1.5, 0.7, 2, 4};
  flow->write(Buffer::Statistics, buffers);

  const std::size_t batch = 2;
  const std::vector<double> weights = {0.3, -1, 0.7, 0.2, 1.1, -0.4};
  const std::vector<double> delta_weights = {0.9, -0.6};
  for (Direction direction : {Direction::Forward, Direction::Reverse}) {
    std::vector<double> x = {0.2, 0.6, 0.9, 0.4, 0.1, 0.5};
    const auto run = [&](const std::vector<double>& rows, std::vector<double>& z,
                         std::vector<double>& delta) {
      SolveRequest request;
      request.direction = direction;
      request.batch = batch;
      request.rows = rows;
      request.keep_tape = true;
      z.resize(6);
      delta.resize(2);
      return flow->solve(request, {z, delta, {}, {}, {}});
    };
    const auto value = [&](const std::vector<double>& rows) {
      std::vector<double> z, delta;
      run(rows, z, delta);
      return std::inner_product(z.begin(), z.end(), weights.begin(), 0.0) +
             std::inner_product(delta.begin(), delta.end(), delta_weights.begin(), 0.0);
    };
    std::vector<double> z, delta, rows_bar(6);
    const auto result = run(x, z, delta);
    flow->zero_gradients();
    PullbackRequest pullback;
    pullback.z_bar = weights;
    pullback.delta_logp_bar = delta_weights;
    pullback.rows_bar = rows_bar;
    flow->pullback(*result.tape, pullback);

    const double h = 1e-6;
    double worst = 0, determinant_error = 0;
    for (std::size_t b = 0; b < batch; ++b) {
      double log_determinant = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        auto up = x, down = x;
        up[3 * b + i] += h;
        down[3 * b + i] -= h;
        worst =
            std::max(worst, std::abs((value(up) - value(down)) / (2 * h) - rows_bar[3 * b + i]));
        std::vector<double> z_up, z_down, unused;
        run(up, z_up, unused);
        run(down, z_down, unused);
        log_determinant += std::log((z_up[3 * b + i] - z_down[3 * b + i]) / (2 * h));
      }
      determinant_error = std::max(determinant_error, std::abs(log_determinant + delta[b]));
    }
    std::vector<double> gradients(6);
    flow->read(Buffer::Gradients, gradients);
    for (int p = 0; p < 6; ++p) {
      auto moved = parameters;
      moved[p] += h;
      flow->write(Buffer::Parameters, moved);
      const double up = value(x);
      moved[p] -= 2 * h;
      flow->write(Buffer::Parameters, moved);
      worst = std::max(worst, std::abs((up - value(x)) / (2 * h) - gradients[p]));
      flow->write(Buffer::Parameters, parameters);
    }
    const std::string way = direction == Direction::Forward ? "forward" : "reverse";
    check(determinant_error < 1e-8, name + ", " + way + ": −Δlogp = log|det|");
    check(worst < 1e-7, name + ", " + way + ": pullback = differences");
  }
}

void check_trace_plan() {
  const TraceOptions automatic;
  const auto chosen = [&](int dimension, std::vector<int> hidden) {
    Net net;
    net.hidden = std::move(hidden);
    return plan_trace(plan_net(net, {dimension}, {}), automatic, {}).divergence;
  };
  check(chosen(2, {64, 64, 64}) == Divergence::UnitTangents, "auto: unit tangents in the plane");
  check(chosen(43, {860, 860}) == Divergence::ClosedTwoHidden, "auto: closed form, two hidden");
  check(chosen(4, {10}) == Divergence::ClosedOneHidden, "auto: closed form, one hidden");
  check(chosen(63, {1260, 1260, 1260}) == Divergence::Tangent, "auto: an estimate in wide data");
  Net field;
  field.hidden = {2048};
  const Conditioning ranks{
      .size = amortised_size(field, 64, 20), .gates = false, .amortised = true, .rank = 20};
  check(plan_trace(plan_net(field, {64}, ranks), automatic, {}).divergence == Divergence::Tangent,
        "auto: an estimate of weights that differ from row to row");
  check(plan_trace(plan_net(field, {64}, {}), automatic, {"jacobian"}).divergence ==
            Divergence::Tangent,
        "auto: an estimate where a regulariser needs tangents of one hidden layer");
}

}  // namespace

int main() {
  check_philox();
  check_tableaus();
  check_step_control();
  check_transforms("transforms", {Logit{0.05}, Standardize{{0.1, -0.2, 0.3}, {2, 0.5, 1.5}},
                                  ZeroMean{}, BatchNorm{0}});
  const double infinity = std::numeric_limits<double>::infinity();
  check_transforms("support and whiten",
                   {Support{{-0.5, -infinity, 0}, {infinity, 1, 1}},
                    Whiten{{0.3, -0.1, 0.2}, {1.5, 0, 0, -0.7, 0.6, 0, 0.4, -1.1, 2}},
                    Support{{-infinity, -1, -infinity}, {infinity, infinity, 4}}, BatchNorm{0}});
  check_trace_plan();
  std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
