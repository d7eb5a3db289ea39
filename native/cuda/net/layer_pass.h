// Passes of rows through the layers of a net: what the divergences are made of.
#pragma once

#include <vector>

#include "cuda/net/device_net.h"
#include "cuda/net/layer_forward.h"

namespace ffjord::cuda {

/// Layers first … end − 1 of a net, through which rows are pushed at once.
struct LayerPass {
  std::size_t first = 0, end = 0;
  int tangents = 0;                               ///< K
  const std::vector<LayerTape>* tapes = nullptr;  ///< by the number of the layer
  LayerInput input;                               ///< of the first
};

/// The pass of a point's values and tangents through all layers.
LayerPass whole_pass(const DeviceNet& net, const Evaluation& evaluation, const FieldPoint& point);
/// That of a convolutional net's branch, from images that `enter_branches` has set (branches.h).
LayerPass branch_pass(const DeviceNet& net, const Evaluation& evaluation, std::size_t branch);

void push(const DeviceNet& net, const Evaluation& evaluation, const LayerPass& pass,
          const FieldPoint& point, TapeUse use);

/// How far the output's gates of two groups lie apart. No context moves them, so that those of a
/// group are its first row's.
int gate_stride(const Evaluation& evaluation, const FieldPoint& point);

/// What field.h reads of an evaluation.
FieldArguments field_of(const DeviceNet& net, const Evaluation& evaluation,
                        const FieldPoint& point);

}  // namespace ffjord::cuda
