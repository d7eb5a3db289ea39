#include "cuda/net/branches.h"
#include "cuda/net/images.h"

namespace ffjord::cuda {
namespace {

ImageRows rows_of(const DeviceNet& net, const FieldPoint& point, std::size_t branch, int tangents) {
  return {point.groups, point.batch, net.dimension(), tangents, net.places_of(branch), {}};
}

}  // namespace

void enter_branches(const DeviceNet& net, const Evaluation& e, const FieldPoint& point) {
  const int tangents = e.form.vjp ? e.form.probes : e.form.lattices ? 0 : e.form.tangents;
  for (std::size_t branch = 0; branch < net.branches().size(); ++branch)
    enter_images(
        {rows_of(net, point, branch, tangents), point.z.values, point.z.stride,
         e.form.unit ? nullptr : point.eps, e.images[branch].value, e.images[branch].tangents},
        net.stream());
}

void join_branch(const DeviceNet& net, const Evaluation& e, const FieldPoint& point,
                 const LayerPass& pass, std::size_t branch, int tangents) {
  const LayerTape& output = e.layers[pass.end - 1];
  ImageExit exit{rows_of(net, point, branch, tangents),
                 output.value,
                 output.tangent,
                 e.joined.value,
                 net.dimension(),
                 e.joined.tangent};
  exit.rows.slot = point.slot;
  exit.adds = branch > 0;
  leave_images(exit, net.stream());
}

void push_branches(const DeviceNet& net, const Evaluation& e, const FieldPoint& point,
                   TapeUse use) {
  if (use == TapeUse::Read) return;
  for (std::size_t branch = 0; branch < net.branches().size(); ++branch) {
    const LayerPass pass = branch_pass(net, e, branch);
    push(net, e, pass, point, use);
    join_branch(net, e, point, pass, branch, pass.tangents);
  }
}

void seed_branch(const Reverse& reverse, std::size_t branch, int tangents) {
  const DeviceNet& net = reverse.net;
  const PullbackScratch& scratch = reverse.scratch;
  enter_images(
      {rows_of(net, reverse.point, branch, tangents), scratch.joined_bars[0], net.dimension(),
       scratch.joined_bars[1], reverse.value_bar(), reverse.tangent_bar()},
      net.stream());
}

void pull_branch(Reverse& reverse, const LayerPass& pass, std::size_t branch) {
  const DeviceNet& net = reverse.net;
  pull_layers(reverse, pass);
  float* const images = reverse.scratch.value_bars[1 - reverse.current];
  pull_input(reverse, pass, {images, net.layers()[pass.first].in()});
  reverse.turn();
  leave_images({rows_of(net, reverse.point, branch, 0), images, nullptr, reverse.targets.z_bar,
                reverse.targets.z_bar_stride, nullptr, reverse.targets.sign, true},
               net.stream());
}

void pull_branches(Reverse& reverse) {
  for (std::size_t branch = 0; branch < reverse.net.branches().size(); ++branch) {
    const LayerPass pass = branch_pass(reverse.net, reverse.evaluation, branch);
    seed_branch(reverse, branch, pass.tangents);
    pull_branch(reverse, pass, branch);
  }
}

}  // namespace ffjord::cuda
