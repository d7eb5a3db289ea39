// Probes that read the diagonal of a convolutional net's Jacobian: ∂f_i/∂z_j is zero where i and j
// lie further apart than the layers reach, so that a probe which is 1 on a lattice wide enough, and
// 0 elsewhere, meets in each of its rows no other entry than the diagonal's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/net_plan.h"

namespace ffjord {

/// Probes of an image: one a channel and offset within the spacing, in that order.
struct ProbeLattice {
  int channels = 1;
  Plane plane, spacing;

  constexpr std::size_t count() const { return channels * spacing.size(); }

  /// Whether probe k is 1 at element i of the image.
  constexpr bool holds(std::size_t k, std::size_t i) const {
    const std::size_t offset = k % spacing.size(), pixel = i % plane.size();
    return i / plane.size() == k / spacing.size() &&
           pixel / plane.width % spacing.height == offset / spacing.width &&
           pixel % plane.width % spacing.width == offset % spacing.width;
  }

  /// Calls visit(i) for every element i of the branch's image where probe k is 1.
  template <class Visit>
  void for_each_one(std::size_t k, Visit visit) const {
    const std::size_t channel = k / spacing.size(), offset = k % spacing.size();
    for (int y = int(offset) / spacing.width; y < plane.height; y += spacing.height)
      for (int x = int(offset) % spacing.width; x < plane.width; x += spacing.width)
        visit((channel * plane.height + y) * plane.width + x);
  }
};

namespace lattice {

/// How far the rows that an output row of layers of stride 1 sees lie below and above it.
struct Reach {
  int below = 0, above = 0;

  void pass(int taps, const Convolution& convolution) {
    const int before =
        convolution.transposed ? taps - 1 - convolution.padding : convolution.padding;
    below += before;
    above += taps - 1 - before;
  }
  int spacing(int length) const { return std::min(std::max(below, above) + 1, length); }
};

}  // namespace lattice

/// The probes of images of this shape at one spacing.
inline ProbeLattice probe_lattice(int channels, Plane plane, int spacing) {
  return {channels, plane, {std::min(spacing, plane.height), std::min(spacing, plane.width)}};
}

/// The probes that read the diagonal of a branch. Strided layers reach the whole image: one probe
/// an element.
inline ProbeLattice probe_lattice(const NetPlan& net, const Branch& branch) {
  const LinearMap& first = net.layers[branch.first].map;
  lattice::Reach rows, columns;
  bool strided = first.is_dense;
  for (std::size_t l = branch.first; l < branch.end; ++l) {
    const Convolution& convolution = net.layers[l].map.convolution;
    rows.pass(convolution.kernel.height, convolution);
    columns.pass(convolution.kernel.width, convolution);
    strided = strided || convolution.stride > 1;
  }
  const Plane plane = first.is_dense ? Plane{1, 1} : first.plane_in;
  const Plane spacing =
      strided ? plane : Plane{rows.spacing(plane.height), columns.spacing(plane.width)};
  return {first.channels_in, plane, spacing};
}

/// Those of all branches, whose divergences add up.
inline std::vector<ProbeLattice> probe_lattices(const NetPlan& net) {
  std::vector<ProbeLattice> lattices;
  for (const Branch& branch : net.branches) lattices.push_back(probe_lattice(net, branch));
  return lattices;
}

}  // namespace ffjord
