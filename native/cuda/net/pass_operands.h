// What a layer of a pass reads, on its way forward and back.
#pragma once

#include "cuda/net/layer_pass.h"
#include "cuda/net/split.h"

namespace ffjord::cuda {

inline LayerInput input_of(const DeviceNet& net, const LayerPass& pass, std::size_t l) {
  if (l == pass.first) return pass.input;
  const LayerTape& below = (*pass.tapes)[l - 1];
  return {below.value, net.layers()[l].in(), below.tangent, true, true};
}

// What times are to the pixels of a layer's output.
inline TimeArrays pixel_times(TimeArrays times, const Layer& layer) {
  times.rows *= layer.pixels();
  return times;
}

// Octets of as many channels, in the place that `others` leave free.
inline OctetRows octets_beside(const Evaluation& e, const OctetRows& others, int channels,
                               int depth, const RowLines& lines) {
  const OctetScratch::Place& first = e.octets->places[0];
  const OctetScratch::Place& place = others.slabs == first.slabs ? e.octets->places[1] : first;
  return {place.slabs, place.down, channels, depth, lines};
}

}  // namespace ffjord::cuda
