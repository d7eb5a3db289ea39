#include <algorithm>

#include "cuda/device/grid.h"
#include "cuda/net/divergence_lattices.h"
#include "cuda/net/probe_seeds.h"
#include "cuda/net/row_products.h"

namespace ffjord::cuda {
namespace {

/// Probes `first` and on of a lattice, the same for all rows.
struct LatticeImages {
  ProbeLattice lattice;
  int first = 0, count = 0, batch = 0;
  float* probes = nullptr;  ///< (count, B, pixels, channels)
};

// One thread for each entry.
__global__ void set_lattice_probes(LatticeImages s) {
  const std::size_t entry = flat_index();
  const int channels = s.lattice.channels, width = s.lattice.plane.width;
  const int pixels = width * s.lattice.plane.height;
  const int k = static_cast<int>(entry / (std::size_t(s.batch) * pixels * channels));
  if (k >= s.count) return;
  const int channel = static_cast<int>(entry % channels);
  const int pixel = static_cast<int>(entry / channels % pixels);
  const Plane& spacing = s.lattice.spacing;
  const int offset = pixel / width % spacing.height * spacing.width + pixel % width % spacing.width;
  const int probe = channel * spacing.height * spacing.width + offset;
  s.probes[entry] = probe == s.first + k ? 1.f : 0.f;
}

// Calls visit(pass, first probe) for each pass of a branch, whose probes are set before.
template <class Visit>
void for_each_pass(const DeviceNet& net, const Evaluation& e, const FieldPoint& point,
                   std::size_t branch, const Visit& visit) {
  const ProbeLattice& lattice = net.lattices()[branch];
  const int count = static_cast<int>(lattice.count());
  LayerPass pass = branch_pass(net, e, branch);
  for (int first = 0; first < count; first += pass.tangents) {
    pass.tangents = std::min(count - first, DeviceNet::kMostLatticeProbes);
    launch("set_lattice_probes", set_lattice_probes,
           flat_shape(std::size_t(pass.tangents) * point.batch * net.dimension()), net.stream(),
           LatticeImages{lattice, first, pass.tangents, point.batch, e.images[branch].tangents});
    visit(pass, first);
  }
}

}  // namespace

void evaluate_lattices(const DeviceNet& net, const Evaluation& e, const FieldPoint& point,
                       const FieldColumns<float>& rates, TapeUse use) {
  for (std::size_t branch = 0; branch < net.branches().size(); ++branch)
    for_each_pass(net, e, point, branch, [&](const LayerPass& pass, int first) {
      push(net, e, pass, point, use);
      if (first == 0 && use != TapeUse::Read) join_branch(net, e, point, pass, branch, 0);
      RowProducts products{point.groups,
                           point.batch,
                           net.dimension(),
                           pass.tangents,
                           1,
                           point.slot,
                           e.layers[pass.end - 1].tangent,
                           pass.input.tangents,
                           rates.divergence,
                           rates.stride};
      products.adds = branch > 0 || first > 0;
      products.start = net.residual() ? -static_cast<float>(net.dimension()) : 0.f;
      add_products(products, net.stream());
    });
}

void pull_lattices(Reverse& reverse, const FieldColumns<const float>& bars) {
  const DeviceNet& net = reverse.net;
  const Evaluation& e = reverse.evaluation;
  const FieldPoint& point = reverse.point;
  for (std::size_t branch = 0; branch < net.branches().size(); ++branch)
    for_each_pass(net, e, point, branch, [&](const LayerPass& pass, int first) {
      if (!e.form.keeps) push(net, e, pass, point, TapeUse::Keep);
      ProbeSeeds seeds;
      seeds.groups = point.groups;
      seeds.batch = point.batch;
      seeds.width = net.dimension();
      seeds.probes = pass.tangents;
      seeds.bar_stride = bars.stride;
      seeds.divergence_bar = bars.divergence;
      seeds.eps = pass.input.tangents;
      seeds.value_bar = reverse.value_bar();
      seeds.tangent_bar = reverse.tangent_bar();
      seed_probes(seeds, net.stream());
      if (first == 0) seed_branch(reverse, branch, 0);
      pull_branch(reverse, pass, branch);
    });
}

}  // namespace ffjord::cuda
