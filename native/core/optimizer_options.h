// What an optimizer step is told, and tells. State lives with the flow's parameters (optimizer.h).
#pragma once

#include <functional>

namespace ffjord {

enum class OptimizerType { Adam, AdamW, Adamax, Sgd };

struct OptimizerOptions {
  OptimizerType type = OptimizerType::Adam;
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double momentum = 0;       ///< SGD
  double weight_decay = 0;   ///< on Role::Weight alone; coupled (Adam, Adamax, SGD) or not (AdamW)
  double clip_norm = 0;      ///< 0: no clipping
  double average_decay = 0;  ///< EMA of the parameters; 0: none kept
  long step = 1;             ///< counted from 1, for bias correction
};

/// ‖g‖₂ before clipping, over trainable parameters: a call that waits for it where it is still on
/// its way from a device, and may be made until the step after the next. The model outlives it.
using PendingNorm = std::function<double()>;

}  // namespace ffjord
