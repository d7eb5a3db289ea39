#include <algorithm>
#include <cmath>

#include "cuda/block/adjoint_gradients.h"
#include "cuda/device/add_values.h"
#include "cuda/device/block_sum.h"

namespace ffjord::cuda {
namespace {

constexpr std::size_t kPartSize = 4096;

struct GradientArrays {
  Groups groups;
  std::size_t parameters = 0;
  float* sum = nullptr;    ///< θ̄
  float* rates = nullptr;  ///< (stages + 1, parameters)
  float rtol = 0, atol = 0;
};

// θ̄ −= h Σ w_i g_i where the step was accepted; one thread a parameter.
__global__ void commit_gradients(GradientArrays s, const __grid_constant__ DeviceTableau tableau,
                                 int skipped) {
  const std::size_t i = flat_index();
  const Group& group = s.groups.data[0];
  if (i >= s.parameters || !group.accepted) return;
  float sum = 0.f;
  for (int stage = 0; stage < tableau.stages; ++stage) {
    if (skipped >> stage & 1) continue;
    sum = fmaf(tableau.weight(stage, group.theta), s.rates[stage * s.parameters + i], sum);
  }
  s.sum[i] -= static_cast<float>(group.h) * sum;
  if (tableau.fsal) s.rates[i] = s.rates[(tableau.stages - 1) * s.parameters + i];
}

// Squares of a part over atol + rtol max(|θ̄|, |end|). `measure`: 0 the rate, 1 its change in the
// trial, 2 the error of an attempt.
__global__ void square_gradients(GradientArrays s, const __grid_constant__ DeviceTableau tableau,
                                 const TensorPart* parts, int measure, double* squares) {
  const TensorPart part = parts[blockIdx.x];
  const float h = static_cast<float>(s.groups.data[0].h);
  double total = 0;
  for (std::size_t e = threadIdx.x; e < part.size; e += kFlatThreads) {
    const std::size_t i = part.offset + e;
    const float start = s.sum[i];
    float value = s.rates[i], end = start;
    if (measure == 1) value = s.rates[tableau.stages * s.parameters + i] - value;
    if (measure == 2) {
      float error = 0.f, step = 0.f;
      for (int stage = 0; stage < tableau.stages; ++stage) {
        const float rate = s.rates[stage * s.parameters + i];
        error = fmaf(tableau.e[stage], rate, error);
        step = fmaf(tableau.b[stage], rate, step);
      }
      value = h * error;
      end = start - h * step;
    }
    const double ratio = value / fmaf(s.rtol, fmaxf(fabsf(start), fabsf(end)), s.atol);
    total += ratio * ratio + 0 * end;
  }
  const double sum = block_sum(total);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// One thread: tensors' root mean squares, the largest; a NaN stays.
__global__ void join_gradient_norms(const TensorPart* parts, int part_count, const double* squares,
                                    double* norm) {
  double largest = 0;
  for (int part = 0; part < part_count;) {
    const int tensor = parts[part].tensor;
    double sum = 0;
    std::size_t size = 0;
    for (; part < part_count && parts[part].tensor == tensor; ++part) {
      sum += squares[part];
      size += parts[part].size;
    }
    const double rms = sqrt(sum / static_cast<double>(size));
    if (!(rms <= largest) && !std::isnan(largest)) largest = rms;
  }
  *norm = largest;
}

}  // namespace

AdjointGradients::AdjointGradients(const SolverOptions& options,
                                   const std::vector<std::size_t>& tensors, AdjointNorm norm,
                                   const Groups& groups, float* gradient, const Stream& stream)
    : options_(options),
      tableau_(*options.tableau),
      weights_(device_tableau(tableau_)),
      norm_(norm),
      groups_(groups),
      gradient_(gradient),
      stream_(stream),
      tensor_count_(tensors.size()) {
  std::vector<TensorPart> parts;
  for (std::size_t tensor = 0; tensor < tensors.size(); ++tensor) {
    // The first tensor is the end time, which is no weight.
    for (std::size_t first = 0; tensor > 0 && first < tensors[tensor]; first += kPartSize)
      parts.push_back({static_cast<int>(tensor), parameters_ + first,
                       std::min(kPartSize, tensors[tensor] - first)});
    parameters_ += tensors[tensor];
  }
  if (!gradient) return;
  sums_ = DeviceArray<float>(parameters_, stream);
  sums_.fill(0, stream);
  rates_ = DeviceArray<float>((tableau_.stages + 1) * parameters_, stream);
  parts_ = DeviceArray<TensorPart>(parts.size(), stream);
  parts_.copy_in(parts, stream);
  squares_ = DeviceArray<double>(parts.size(), stream);
  norm_value_ = DeviceArray<double>(1, stream);
  stream.synchronize();  // `parts` dies here
}

float* AdjointGradients::target(int stage) {
  if (!gradient_) return nullptr;
  const bool trial = stage == RowSystem::kTrialStage;
  if (!full() && trial) return nullptr;
  // Where the end is interpolated, weights depend on the last step.
  const bool weighted = trial || full() || options_.controller == Controller::Torchdiffeq ||
                        tableau_.b[stage] != 0 ||
                        (tableau_.fsal && (stage == 0 || stage == tableau_.stages - 1));
  if (!weighted) return nullptr;
  float* const target = rates(trial ? tableau_.stages : stage);
  check(cudaMemsetAsync(target, 0, parameters_ * sizeof(float), stream_.get()),
        "clearing gradients");
  return target;
}

const double* AdjointGradients::largest_rms(Measure measure) {
  if (!gradient_ || !full()) return nullptr;
  const GradientArrays s{groups_,
                         parameters_,
                         sums_.data(),
                         rates_.data(),
                         static_cast<float>(options_.rtol),
                         static_cast<float>(options_.atol)};
  launch("square_gradients", square_gradients, sum_shape<double>(parts_.size()), stream_, s,
         weights_, parts_.data(), static_cast<int>(measure), squares_.data());
  launch("join_gradient_norms", join_gradient_norms, LaunchShape(), stream_, parts_.data(),
         static_cast<int>(parts_.size()), squares_.data(), norm_value_.data());
  return norm_value_.data();
}

const double* AdjointGradients::start_norm() { return largest_rms(Measure::Rate); }
const double* AdjointGradients::change_norm() { return largest_rms(Measure::Change); }
const double* AdjointGradients::error_norm() { return largest_rms(Measure::Error); }

void AdjointGradients::conclude() {
  if (!gradient_) return;
  int skipped = 0;
  if (!full() && options_.controller != Controller::Torchdiffeq)
    for (int stage = 0; stage < tableau_.stages; ++stage)
      if (tableau_.b[stage] == 0) skipped |= 1 << stage;
  const GradientArrays s{groups_, parameters_, sums_.data(), rates_.data(), 0, 0};
  launch("commit_gradients", commit_gradients, flat_shape(parameters_), stream_, s, weights_,
         skipped);
}

void AdjointGradients::add_up() {
  if (gradient_) add_values(sums_.data(), parameters_, gradient_, stream_);
}

}  // namespace ffjord::cuda
