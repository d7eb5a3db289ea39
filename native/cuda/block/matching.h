// Flow matching of rows that lie on the device: points on straight lines to base points that are
// drawn there, and the regression of f at them.
#pragma once

#include "core/continuous_block.h"
#include "cuda/block/workspace.h"

namespace ffjord::cuda {

struct MatchingCall {
  const DeviceNet& net;
  Workspace& workspace;
  const Stream& stream;
  const float* terms = nullptr;  ///< as BlockCall's
  float* terms_bar = nullptr;
};

/// Does what ContinuousBlock::match_rows does; `gradient`: of the block, on the device. Waits once,
/// for the losses.
void match_on_device(const MatchingCall& call, const MatchingRows<float>& rows, float* gradient);

}  // namespace ffjord::cuda
