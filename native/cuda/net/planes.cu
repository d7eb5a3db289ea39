#include "cuda/device/grid.h"
#include "cuda/net/planes.h"
#include "cuda/net/taps.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {
namespace {

enum : int { kTime, kRow, kColumn };

// The pixel of the input that a place meets at a tap; −1: none.
__device__ int pixel_at(const Taps& taps, int place, int tap) {
  const PixelPlace from = taps.places[place];
  const Tap to = taps.tap(tap * taps.channels);
  return to.meets(from) ? (from.first + to.entry) / taps.channels : -1;
}

// What a plane of the input holds at a pixel; of t what multiplies it.
__device__ float value_of(int plane, int pixel, int width) {
  return plane == kTime  ? 1.f
         : plane == kRow ? static_cast<float>(pixel / width)
                         : static_cast<float>(pixel % width);
}

// One thread for each pixel and unit; it reads the weights of all taps and planes.
__global__ void make_planes(Layer layer, const __grid_constant__ Taps taps, const float* parameters,
                            float* memory) {
  const std::size_t entry = flat_index(), size = std::size_t(layer.pixels()) * layer.out();
  if (entry >= size) return;
  const int unit = static_cast<int>(entry % layer.out());
  const int place = static_cast<int>(entry / layer.out()), width = layer.map.plane_in.width;
  float time = 0.f, coordinates = 0.f;
  for (int i = 0; i < layer.taps(); ++i) {
    const int pixel = pixel_at(taps, place, i);
    if (pixel < 0) continue;
    for (int plane = 0; plane < layer.planes(); ++plane) {
      const float weight = parameters[layer.offsets.weight +
                                      layer.weight_place(unit, layer.first_plane() + plane, i)];
      float& sum = plane == kTime ? time : coordinates;
      sum = fmaf(weight, value_of(plane, pixel, width), sum);
    }
  }
  memory[entry] = time;
  memory[size + entry] = coordinates;
}

// One thread for each pixel and unit adds up over the samples. Bytes: z̄ once.
__global__ void sum_over_samples(const __grid_constant__ PlaneGradients s) {
  const std::size_t entry = flat_index(), size = std::size_t(s.layer.pixels()) * s.layer.out();
  if (entry >= size) return;
  float sum = 0.f, timed = 0.f;
  for (int sample = 0; sample < s.batch; ++sample) {
    if (!s.groups.of_row(sample).working) continue;
    const float bar = s.value_bar[sample * size + entry];
    sum += bar;
    timed = fmaf(s.time[sample / s.groups.rows], bar, timed);
  }
  s.sums[entry] = timed;
  s.sums[size + entry] = sum;
}

// A warp for each weight of the planes adds up over pixels.
__global__ void __launch_bounds__(kRowThreads)
    add_plane_weights(const __grid_constant__ PlaneGradients s) {
  const RowLane<32> at;
  const Layer& layer = s.layer;
  const int weights = layer.planes() * layer.taps() * layer.out();
  const int weight = min(at.row, weights - 1);
  const int unit = weight % layer.out(), tap = weight / layer.out() % layer.taps();
  const int plane = weight / layer.out() / layer.taps();
  const std::size_t size = std::size_t(layer.pixels()) * layer.out();
  const float* const sums = s.sums + (plane == kTime ? 0 : size);
  float sum = 0.f;
  for (int p = at.lane; p < layer.pixels(); p += 32) {
    const int pixel = pixel_at(s.taps, p, tap);
    if (pixel >= 0)
      sum = fmaf(value_of(plane, pixel, layer.map.plane_in.width),
                 sums[std::size_t(p) * layer.out() + unit], sum);
  }
  sum = at.sum(sum);
  if (at.lane > 0 || at.row >= weights) return;
  s.gradient[layer.offsets.weight + layer.weight_place(unit, layer.first_plane() + plane, tap)] +=
      sum;
}

}  // namespace

Planes planes_of(const Layer& layer, const float* memory) {
  if (!layer.has_planes()) return {};
  const float* const time = memory + layer.plane;
  return {time, time + layer.map.size_out(), layer.pixels(), layer.out()};
}

void set_planes(const Layer& layer, const Taps& taps, const float* parameters, float* memory,
                const Stream& stream) {
  if (!layer.has_planes()) return;
  launch("make_planes", make_planes, flat_shape(layer.map.size_out()), stream, layer, taps,
         parameters, memory + layer.plane);
}

void add_plane_gradients(const PlaneGradients& s, const Stream& stream) {
  const Layer& layer = s.layer;
  launch("sum_over_samples", sum_over_samples, flat_shape(layer.map.size_out()), stream, s);
  launch("add_plane_weights", add_plane_weights,
         row_shape(layer.planes() * layer.taps() * layer.out(), 32), stream, s);
}

}  // namespace ffjord::cuda
