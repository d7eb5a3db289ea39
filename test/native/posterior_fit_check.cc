// Every posterior fits a known density on the plane better than the Gaussian that it begins with:
// two arcs of a ring, of which a Gaussian covers one. Trained by reverse KL, whose value is known
// up to sampling, as the normaliser follows by quadrature.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "core/host_device.h"
#include "core/initial_values.h"
#include "core/tableau.h"
#include "cpu/cpu_block.h"
#include "flow_case.h"
#include "plain_layer.h"

namespace {

using namespace ffjord;
using Vector = std::vector<float>;

constexpr std::size_t kLatent = 2, kBatch = 64;

struct Density {
  double energy;    // −log p̃
  double slope[2];  // of the energy
};

/// U₁ of Rezende and Mohamed (2015): a ring of radius 2, and two bumps on it.
Density density(double x, double y) {
  const double radius = std::hypot(x, y) + 1e-12;
  const double from_ring = (radius - 2) / 0.4;
  const double left = std::exp(-0.5 * std::pow((x + 2) / 0.6, 2));
  const double right = std::exp(-0.5 * std::pow((x - 2) / 0.6, 2));
  const double sum = left + right + 1e-300;
  const double along = from_ring / 0.4 / radius;
  return {0.5 * from_ring * from_ring - std::log(sum),
          {along * x + (left * (x + 2) + right * (x - 2)) / (0.36 * sum), along * y}};
}

double log_normaliser() {
  constexpr double kStep = 0.02;
  double sum = 0;
  for (double x = -6; x < 6; x += kStep)
    for (double y = -6; y < 6; y += kStep) sum += std::exp(-density(x, y).energy);
  return std::log(sum * kStep * kStep);
}

/// The posterior behind N(mean, spread²), with weights in one layout.
class Fit {
 public:
  Fit(const PosteriorKind& kind, float first_mean)
      : plan_(add_posterior(layout_, {kind, kLatent, 1, {}, {}, {}})),
        mean_(layout_.add("mean", {kLatent}, Role::Bias)),
        log_spread_(layout_.add("log_spread", {kLatent}, Role::Bias)),
        device_({[](const BlockPlace<float>& place) {
                   return std::make_unique<cpu::CpuBlock>(place, cpu::instruction_sets().front(),
                                                          1);
                 },
                 checks::make_plain_layer<float>}) {
    InitialParameters first(layout_, 1);
    draw_first_weights(first, plan_);
    weights_.assign(first.values().begin(), first.values().end());
    weights_[mean_] = first_mean;
    gradients_ = first_ = second_ = Vector(weights_.size());
    posterior_ = device_.make_posterior({plan_, weights_, device_});
    settings_.solver.tableau = &tableau("dopri5");
    settings_.solver.rtol = settings_.solver.atol = 1e-3;
    settings_.trace.mode = TraceMode::Exact;
  }

  /// KL(q ‖ p) on `batch` draws, less the normaliser; moves the weights where `step` > 0.
  double run(std::size_t batch, long step) {
    Vector eps(batch * kLatent), z0(eps.size()), h(batch, 1.f), zk(eps.size()), log_det(batch);
    for (std::size_t i = 0; i < eps.size(); ++i) {
      eps[i] = normal_(generator_);
      z0[i] = weights_[mean_ + i % 2] + std::exp(weights_[log_spread_ + i % 2]) * eps[i];
    }
    const PosteriorRows<float> rows{batch, 1, z0, h, zk, log_det};
    const auto tape = posterior_->solve(rows, {noise_, settings_, step > 0}, statistics_);
    double sum = 0;
    Vector zk_bar(eps.size()), log_det_bar(batch, -1.f / float(batch));
    for (std::size_t b = 0; b < batch; ++b) {
      const Density at = density(zk[2 * b], zk[2 * b + 1]);
      sum += at.energy - log_det[b] - std::log(2 * M_PI);
      for (std::size_t i = 2 * b; i < 2 * b + 2; ++i) {
        sum -= 0.5 * eps[i] * eps[i] + weights_[log_spread_ + i % 2];
        zk_bar[i] = static_cast<float>(at.slope[i % 2] / double(batch));
      }
    }
    if (step > 0) {
      Vector z0_bar(eps.size()), h_bar(batch);
      std::fill(gradients_.begin(), gradients_.end(), 0.f);
      posterior_->pullback(*tape, rows, {zk_bar, log_det_bar, z0_bar, h_bar, gradients_},
                           statistics_);
      for (std::size_t i = 0; i < eps.size(); ++i) {
        gradients_[mean_ + i % 2] += z0_bar[i];
        gradients_[log_spread_ + i % 2] +=
            z0_bar[i] * std::exp(weights_[log_spread_ + i % 2]) * eps[i] - 1.f / float(batch);
      }
      OptimizerOptions options;
      options.learning_rate = 0.02;
      options.clip_norm = 10;
      options.step = step;
      optimizer_step<float>(options, layout_, {gradients_, weights_, first_, second_, {}});
      posterior_->parameters_changed();
    }
    return sum / double(batch);
  }

 private:
  ParameterLayout layout_;
  const PosteriorPlan plan_;
  const std::size_t mean_, log_spread_;
  HostDevice<float> device_;
  std::mt19937_64 generator_{3};
  std::normal_distribution<float> normal_;
  Vector weights_, gradients_, first_, second_;
  std::unique_ptr<Posterior<float>> posterior_;
  Noise noise_;
  Settings settings_;
  SolveStatistics statistics_;
};

double divergence_after(const PosteriorKind& kind, long iterations, float first_mean = 0) {
  Fit fit(kind, first_mean);
  for (long step = 1; step <= iterations; ++step) fit.run(kBatch, step);
  return fit.run(4096, 0) + log_normaliser();
}

Continuous field(Amortisation amortisation, int rank) {
  Continuous field{{}, 1, amortisation, rank};
  field.block.time = 1;
  field.block.net.hidden = {16, 16};
  field.block.net.layer = LayerKind::Concat;
  return field;
}

}  // namespace

int main() try {
  constexpr long kIterations = 500;
  checks::Report report;
  // From the middle, or from an arc.
  const double gaussian =
      std::min(divergence_after(NoFlow{}, kIterations), divergence_after(NoFlow{}, kIterations, 2));
  std::printf("%-24s KL %.3f nats\n", "none", gaussian);
  // A Gaussian can do no better than cover one arc: log 2, and what the arc bends.
  report.expect("the Gaussian covers one arc", gaussian > std::log(2.0) && gaussian < 1.5);
  const std::pair<std::string, PosteriorKind> kinds[] = {
      {"planar", Planar{8}},
      {"iaf", InverseAutoregressive{4, 16}},
      {"sylvester orthogonal", Sylvester{SylvesterBasis::Orthogonal, 8, 2}},
      {"sylvester householder", Sylvester{SylvesterBasis::Householder, 8, 2}},
      {"sylvester triangular", Sylvester{SylvesterBasis::Triangular, 8}},
      {"cnf", field(Amortisation::None, 0)},
      {"cnf_bias", field(Amortisation::Biases, 0)},
      {"cnf_rank", field(Amortisation::LowRank, 2)},
  };
  for (const auto& [name, kind] : kinds) {
    const double divergence = divergence_after(kind, kIterations);
    std::printf("%-24s KL %.3f nats\n", name.c_str(), divergence);
    report.expect(name + " beats the Gaussian", divergence < gaussian - 0.1);
    report.expect(name + " is a density", divergence > -0.05);
  }
  report.finish("posteriors on the plane");
  return report.failures() > 0;
} catch (const std::exception& error) {
  std::printf("error: %s\n", error.what());
  return 1;
}
