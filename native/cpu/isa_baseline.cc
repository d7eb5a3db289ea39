// The kernels for any machine.
#include "cpu/convolution_setup.h"
#include "cpu/evaluate.h"
#include "cpu/isa.h"
#include "cpu/net_setup.h"
#include "cpu/pullback.h"

namespace ffjord::cpu::baseline {

std::unique_ptr<TileNet> make_net(const BlockContext<float>& context, ConvolutionMethod method) {
  if (context.offsets.net.convolutional())
    return std::make_unique<ConvolutionTileNet>(context, method);
  return std::make_unique<DenseTileNet>(context);
}

}  // namespace ffjord::cpu::baseline
