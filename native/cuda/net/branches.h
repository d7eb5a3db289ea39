// A convolutional net: its branches take the sample as images, pixel by pixel, and their outputs
// add up to the field. Divergences and regularisers are those of the sum.
#pragma once

#include "cuda/net/layer_pullback.h"

namespace ffjord::cuda {

/// Sets what the branches take: z, and the form's tangents or the probes of its VJP; those of
/// lattices differ from branch to branch (divergence_lattices.h).
void enter_branches(const DeviceNet& net, const Evaluation& evaluation, const FieldPoint& point);
/// Pushes it through all of them, and joins what they make.
void push_branches(const DeviceNet& net, const Evaluation& evaluation, const FieldPoint& point,
                   TapeUse use);
/// Joins what one of them made.
void join_branch(const DeviceNet& net, const Evaluation& evaluation, const FieldPoint& point,
                 const LayerPass& pass, std::size_t branch, int tangents);
/// Cotangents of the joined outputs → z̄, to which it is added, and gradients.
void pull_branches(Reverse& reverse);
/// Sets the cotangents that a branch begins with from the joined ones.
void seed_branch(const Reverse& reverse, std::size_t branch, int tangents);
/// Goes on from there.
void pull_branch(Reverse& reverse, const LayerPass& pass, std::size_t branch);

}  // namespace ffjord::cuda
