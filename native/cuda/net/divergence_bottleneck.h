// The divergence by noise of a bottleneck's width (core/trace_plan.h), f = g(h(z)), in three
// passes: the values through the encoder h; h and ε through the decoder g, which leaves v =
// (∂g/∂h)ε beside f; z and v through the encoder once more, which leaves (∂h/∂z)v.
#pragma once

#include "cuda/net/layer_pullback.h"

namespace ffjord::cuda {

void evaluate_bottleneck(const DeviceNet& net, const Evaluation& evaluation,
                         const FieldPoint& point, const FieldColumns<float>& rates, TapeUse use);
void pull_bottleneck(Reverse& reverse, const FieldColumns<const float>& bars);

}  // namespace ffjord::cuda
