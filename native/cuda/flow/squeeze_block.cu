#include "cuda/device/grid.h"
#include "cuda/device/memory.h"
#include "cuda/flow/squeeze_block.h"

namespace ffjord::cuda {
namespace {

// (channels, 2 height, 2 width) ↔ (4 channels, height, width).
struct Squeezing {
  std::size_t channels, height, width;

  __host__ __device__ std::size_t size() const { return 4 * channels * height * width; }

  // The place in a wide sample of what stands at `deep` of a deep one.
  __device__ std::size_t wide_place(std::size_t deep) const {
    const std::size_t j = deep % width, i = deep / width % height;
    const std::size_t channel = deep / (width * height);
    const std::size_t c = channel / 4, a = channel % 4;
    return (c * 2 * height + 2 * i + a / 2) * 2 * width + 2 * j + a % 2;
  }
};

// One thread a number, in the order of the deep side: 8 bytes, of which those of the wide side lie
// two apart; 26 registers.
__global__ void squeeze_samples(Squeezing s, std::size_t batch, const float* source, float* target,
                                bool inverted) {
  const std::size_t at = flat_index();
  if (at >= batch * s.size()) return;
  const std::size_t sample = at - at % s.size();
  const std::size_t wide = sample + s.wide_place(at % s.size());
  target[inverted ? wide : at] = source[inverted ? at : wide];
}

class SqueezeBlock : public FlowBlock<float> {
 public:
  SqueezeBlock(const BlockPlace<float>& place, const FlowStream& stream)
      : squeezing_{std::size_t(place.shape[0]), std::size_t(place.shape[1]) / 2,
                   std::size_t(place.shape[2]) / 2},
        stream_(stream) {}

  std::unique_ptr<BlockTape> solve(const ChainSolve<float>& call,
                                   ChainState<float>& state) override {
    squeeze(call.reverse(), state);
    auto tape = std::make_unique<BlockTape>();
    tape->reverse = call.reverse();
    return tape;
  }

  void pullback(const BlockTape& tape, const ChainPullback<float>&,
                ChainState<float>& bar) override {
    squeeze(!tape.reverse, bar);
  }

 private:
  void squeeze(bool inverted, ChainState<float>& state) const {
    stream_.enter();
    const std::span<float> z = state.z.on_device();
    const auto source = DeviceArray<float>::copy_of(z, stream_);
    launch("squeeze_samples", squeeze_samples, flat_shape(z.size()), stream_, squeezing_,
           state.batch, source.data(), z.data(), inverted);
  }

  const Squeezing squeezing_;
  const FlowStream& stream_;
};

}  // namespace

std::unique_ptr<FlowBlock<float>> make_squeeze_block(const BlockPlace<float>& place,
                                                     const FlowStream& stream) {
  return std::make_unique<SqueezeBlock>(place, stream);
}

}  // namespace ffjord::cuda
