#include "cuda/device/block_sum.h"
#include "cuda/flow/optimizer.h"

namespace ffjord::cuda {
namespace {

/// Whether a parameter is trained, and whether weight decay acts on it.
enum Trained : unsigned char { kFrozen, kPlain, kDecayed };

// How many of the gradients one block sums: fixed, so that the order of the sum depends on their
// number alone.
constexpr std::size_t kPartSize = 4096;

std::size_t parts_of(std::size_t count) { return (count + kPartSize - 1) / kPartSize; }

std::vector<unsigned char> kinds_of(const ParameterLayout& layout) {
  std::vector<unsigned char> kinds(layout.parameter_count, kFrozen);
  for (const Parameter& parameter : layout.parameters)
    if (parameter.trainable)
      std::fill_n(kinds.begin() + parameter.offset, parameter.size,
                  parameter.role == Role::Weight ? kDecayed : kPlain);
  return kinds;
}

// One block a part, in float64: 2 FLOPs and 5 bytes a parameter.
__global__ void sum_gradient_squares(const float* gradients, const unsigned char* kinds,
                                     std::size_t count, double* squares) {
  double sum = 0;
  for (std::size_t e = threadIdx.x; e < kPartSize; e += kFlatThreads) {
    const std::size_t i = blockIdx.x * kPartSize + e;
    if (i < count && kinds[i] != kFrozen) sum += double(gradients[i]) * double(gradients[i]);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

// One block.
__global__ void join_gradient_squares(const double* squares, std::size_t parts, double* norm) {
  double sum = 0;
  for (std::size_t part = threadIdx.x; part < parts; part += kFlatThreads) sum += squares[part];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *norm = std::sqrt(sum);
}

struct UpdateArrays {
  const unsigned char* kinds;
  const double* norm;
  double clip_norm = 0;
  float weight_decay = 0;
  std::size_t count = 0;
  const float* gradients;
  float *parameters, *first, *second;
};

// One thread a parameter: about 20 FLOPs, 29 bytes.
template <OptimizerType type>
__global__ void update_weights(UpdateArrays s, UpdateRule<float> rule) {
  const std::size_t i = flat_index();
  if (i >= s.count || s.kinds[i] == kFrozen) return;
  const float scale = static_cast<float>(clip_scale(s.clip_norm, *s.norm));
  const float decay = s.kinds[i] == kDecayed ? s.weight_decay : 0.f;
  rule.update<type>(s.gradients[i], scale, decay, s.parameters[i], s.first[i], s.second[i]);
}

// One thread a parameter: 3 FLOPs, 12 bytes.
__global__ void move_average(const float* parameters, std::size_t count, double decay, bool starts,
                             float* average) {
  const std::size_t i = flat_index();
  if (i >= count) return;
  average[i] = moved_average(decay, starts ? parameters[i] : average[i], parameters[i]);
}

}  // namespace

DeviceOptimizer::DeviceOptimizer(const ParameterLayout& layout, const FlowStream& stream)
    : stream_(stream),
      kinds_(layout.parameter_count, stream),
      squares_(parts_of(layout.parameter_count), stream),
      norm_(1, stream) {
  kinds_.copy_in(kinds_of(layout), stream);
}

PendingNorm DeviceOptimizer::step(const OptimizerOptions& options,
                                  const OptimizerArrays<float>& arrays) {
  stream_.enter();
  const std::size_t count = kinds_.size();
  if (count == 0) return [] { return 0.0; };
  launch("sum_gradient_squares", sum_gradient_squares, sum_shape<double>(squares_.size()), stream_,
         arrays.gradients.data(), kinds_.data(), count, squares_.data());
  launch("join_gradient_squares", join_gradient_squares, sum_shape<double>(1), stream_,
         squares_.data(), squares_.size(), norm_.data());
  OnHost& there = on_host_[turn_ ^= 1];
  norm_.copy_out(there.norm.span(), stream_);
  stream_.record(there.copied);

  const UpdateArrays s{kinds_.data(),
                       norm_.data(),
                       options.clip_norm,
                       static_cast<float>(options.weight_decay),
                       count,
                       arrays.gradients.data(),
                       arrays.parameters.data(),
                       arrays.first.data(),
                       arrays.second.data()};
  const UpdateRule<float> rule(options);
  with_type(options.type, [&](auto type) {
    launch("update_weights", update_weights<type()>, flat_shape(count), stream_, s, rule);
  });
  if (!arrays.average.empty())
    launch("move_average", move_average, flat_shape(count), stream_, arrays.parameters.data(),
           count, options.average_decay, arrays.starts_average, arrays.average.data());
  return [&there] {
    there.copied.synchronize();
    return there.norm[0];
  };
}

}  // namespace ffjord::cuda
