// The exact divergence of a convolutional net by probes on lattices (core/lattice_probes.h), branch
// by branch, some probes at a time. A pullback pushes those of a branch that takes several passes
// once more.
#pragma once

#include "cuda/net/branches.h"

namespace ffjord::cuda {

/// The net's outputs joined, and their divergence in `rates`.
void evaluate_lattices(const DeviceNet& net, const Evaluation& evaluation, const FieldPoint& point,
                       const FieldColumns<float>& rates, TapeUse use);
void pull_lattices(Reverse& reverse, const FieldColumns<const float>& bars);

}  // namespace ffjord::cuda
