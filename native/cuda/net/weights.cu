#include "cuda/device/launch.h"
#include "cuda/net/weights.h"

namespace ffjord::cuda {
namespace {

constexpr int kThreads = 256;

// One thread for each entry (j, k) of W (out, depth), where a depth of a convolution is (tap, in).
__global__ void pack_weights(Layer layer, const float* parameters, float* packed) {
  const std::size_t entry = std::size_t(blockIdx.x) * kThreads + threadIdx.x;
  if (entry >= layer.weights()) return;
  const int j = static_cast<int>(entry / layer.depth()),
            k = static_cast<int>(entry % layer.depth());
  const int first_depth = layer.taps() * layer.in();
  const bool second = k >= first_depth;
  const int column = second ? k - first_depth : k;
  const int tap = column / layer.in(), channel = column % layer.in();
  const std::size_t at = layer.weight_place(j, layer.first_input() + channel, tap);
  float value = parameters[layer.offsets.weight + at];
  if (second) value = parameters[layer.offsets.weight1 + at] - value;
  packed[std::size_t(k) * layer.out() + j] = value;
  const std::size_t row = std::size_t(second * layer.taps() + tap) * layer.out() + j;
  packed[layer.weights() + row * layer.in() + channel] = value;
}

}  // namespace

void pack(const Layer& layer, const float* parameters, float* packed, const Stream& stream) {
  if (layer.hyper()) return;
  const LaunchShape shape{static_cast<unsigned>((layer.weights() + kThreads - 1) / kThreads),
                          kThreads};
  launch("pack_weights", pack_weights, shape, stream, layer, parameters, packed + layer.packed);
}

}  // namespace ffjord::cuda
