#include "cuda/device/launch.h"
#include "cuda/net/weights.h"

namespace ffjord::cuda {
namespace {

constexpr int kThreads = 256;

// One thread for each entry (j, k) of W (out, depth).
__global__ void pack_weights(Layer layer, const float* parameters, float* packed) {
  const std::size_t entry = std::size_t(blockIdx.x) * kThreads + threadIdx.x;
  if (entry >= layer.weights()) return;
  const int j = static_cast<int>(entry / layer.depth()),
            k = static_cast<int>(entry % layer.depth());
  const int column = k < layer.in() ? k : k - layer.in();
  const std::size_t at = std::size_t(j) * layer.weight_stride() + column;
  float value = parameters[layer.weight_offset() + at];
  if (k >= layer.in()) value = parameters[layer.offsets.weight1 + at] - value;
  packed[std::size_t(k) * layer.out() + j] = value;
  const std::size_t row = k < layer.in() ? j : layer.out() + j;
  packed[layer.weights() + row * layer.in() + column] = value;
}

}  // namespace

void pack(const Layer& layer, const float* parameters, float* packed, const Stream& stream) {
  if (layer.hyper()) return;
  const LaunchShape shape{static_cast<unsigned>((layer.weights() + kThreads - 1) / kThreads),
                          kThreads};
  launch("pack_weights", pack_weights, shape, stream, layer, parameters, packed + layer.packed);
}

}  // namespace ffjord::cuda
