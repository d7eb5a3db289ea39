#include <algorithm>
#include <utility>

#include "core/errors.h"
#include "cuda/net/device_net.h"
#include "cuda/net/divergence_closed.h"
#include "cuda/net/hypernet.h"
#include "cuda/net/images.h"
#include "cuda/net/octet_forward.h"
#include "cuda/net/octet_way.h"
#include "cuda/net/tile_rows.h"
#include "cuda/net/weight_gradient.h"
#include "cuda/net/weights.h"

namespace ffjord::cuda {
namespace {

// The net as a layout of this block alone places it, behind its end time.
NetPlan place_alone(const NetPlan& net) {
  for (const LayerPlan& layer : net.layers)
    if (const Plane& kernel = layer.map.convolution.kernel;
        std::max(kernel.height, kernel.width) > kMostTaps)
      throw Error(
          ErrorCode::Unsupported,
          "the cuda engine takes filters of up to 32 rows and columns; use smaller kernels, or "
          "device 'reference'");
  ParameterLayout block;
  block.add("sqrt_end_time", {1}, Role::EndTime);
  return block.add_net("net", net);
}

std::vector<std::size_t> sizes_of_tensors(const NetPlan& net) {
  std::vector<std::size_t> sizes = {1};  // the end time
  for (const ParameterRange& tensor : net.tensors) sizes.push_back(tensor.size);
  return sizes;
}

void take_tape(Arena& arena, const Layer& layer, std::size_t batch, int tangents, LayerTape& tape) {
  const std::size_t size = batch * layer.map.size_out();
  tape.value = arena.take(size);
  tape.tangent = arena.take(tangents * size);
  if (!layer.keeps_preactivations()) return;
  tape.z = arena.take(size);
  tape.u = arena.take(tangents * size);
}

}  // namespace

bool EvaluationSize::operator==(const EvaluationSize& other) const {
  return batch == other.batch && groups == other.groups &&
         trace.divergence == other.trace.divergence && trace.probes == other.trace.probes &&
         regularisers == other.regularisers;
}

DeviceNet::DeviceNet(const BlockContext<float>& context, const Stream& stream)
    : stream_(stream),
      plan_(place_alone(context.offsets.net)),
      dimension_(static_cast<int>(plan_.size_in())),
      residual_(plan_.residual),
      convolutional_(plan_.convolutional()),
      branches_(plan_.branches),
      lattices_(probe_lattices(plan_)),
      layers_(make_layers(plan_)),
      tensor_sizes_(sizes_of_tensors(plan_)),
      parameters_(context.parameters.data() + context.offsets.sqrt_end_time),
      device_layers_(layers_.size(), stream),
      context_(layers_, plan_.context_size, stream) {
  std::size_t planes = 0;
  for (const Layer& layer : layers_) {
    units_ += layer.out();
    widest_ = std::max({widest_, layer.map.size_in(), layer.map.size_out()});
    packed_size_ += 2 * layer.weights();
    if (layer.has_planes()) planes += 2 * layer.map.size_out();
  }
  planes_ = DeviceArray<float>(planes, stream);
  std::vector<int> places;
  for (const auto& [first, end, squeezes] : branches_) {
    const std::vector<int> more = image_places(layers_[first].map, squeezes);
    places.insert(places.end(), more.begin(), more.end());
  }
  places_ = DeviceArray<int>(places.size(), stream);
  places_.copy_in(places, stream);
  const std::vector<PixelPlace> pixel_places = make_walks();
  pixel_places_ = DeviceArray<PixelPlace>(pixel_places.size(), stream);
  pixel_places_.copy_in(pixel_places, stream);
  const PixelPlace* first = pixel_places_.data();
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for (Taps* taps : {&walks_[l], &back_walks_[l]}) {
      taps->places = first;
      first += taps->by_pixels.divisor();
    }
  device_layers_.copy_in(layers_, stream);
  if (!hyper()) packed_ = DeviceArray<float>(packed_size_, stream);
  make_octet_weights();
  stream.synchronize();  // what was copied dies here
}

void DeviceNet::make_octet_weights() {
  for (const Layer& layer : layers_) {
    octet_weights_.push_back(octet_weights(layer, stream_.options()));
    back_weights_.push_back(octet_weights_back(layer, stream_.options()));
  }
  std::size_t octets = 0, scales = 0;
  const auto each = [&](const auto& use) {
    for (std::vector<OctetLines>* list : {&octet_weights_, &back_weights_})
      for (OctetLines& lines : *list) {
        if (lines.lines == 0) continue;
        use(lines);
        octets += lines.octets();
        scales += lines.padded();
      }
  };
  each([](const OctetLines&) {});
  weight_slabs_ = DeviceArray<uint4>(octets, stream_);
  weight_scales_ = DeviceArray<float>(scales, stream_);
  octets = scales = 0;
  each([&](OctetLines& lines) {
    lines.slabs = weight_slabs_.data() + octets;
    lines.down = weight_scales_.data() + scales;
  });
}

NetArrays DeviceNet::arrays() const {
  return {device_layers_.data(),
          static_cast<int>(layers_.size()),
          units_,
          dimension_,
          context_.terms(),
          parameters_,
          packed_.data(),
          packed_size_};
}

const float* DeviceNet::beta_of(const Layer& layer) const {
  return layer.offsets.beta == kAbsent ? nullptr : parameters_ + layer.offsets.beta;
}

const float* DeviceNet::weights_of(const Evaluation& evaluation, const Layer& layer,
                                   bool transposed) const {
  return (hyper() ? evaluation.times.packed : packed_.data()) + layer.packed +
         (transposed ? layer.weights() : 0);
}

std::vector<PixelPlace> DeviceNet::make_walks() {
  std::vector<PixelPlace> places;
  for (const Layer& layer : layers_)
    for (auto [walk, list] : {std::pair(cuda::walk_of(layer.map), &walks_),
                              std::pair(cuda::walk_back(layer.map), &back_walks_)}) {
      list->push_back(walk.taps);
      places.insert(places.end(), walk.places.begin(), walk.places.end());
    }
  return places;
}

OuterArguments DeviceNet::outer_products(const Layer& layer, int batch, int tangents) const {
  OuterArguments outer;
  outer.batch = batch * layer.pixels();
  outer.tangents = tangents;
  outer.out = layer.out();
  outer.in = layer.taps() * layer.in();
  outer.taps = taps_of(layer);
  outer.taps_back = taps_back(layer);
  outer.image = kept_image(layer);
  outer.expanded = layer.expanded();
  return outer;
}

bool DeviceNet::is_first(const Layer& layer) const {
  return std::any_of(branches_.begin(), branches_.end(), [&](const Branch& branch) {
    return branch.first == std::size_t(layer.number);
  });
}

int DeviceNet::lattice_passes(std::size_t layer) const {
  std::size_t branch = 0;
  while (branches_[branch].end <= layer) ++branch;
  return tiles_of(static_cast<int>(lattices_[branch].count()), kMostLatticeProbes);
}

void DeviceNet::parameters_changed() {
  for (const Layer& layer : layers_) {
    pack(layer, parameters_, packed_.data(), stream_);
    const float* const weights = packed_.data() + layer.packed;
    if (const OctetLines& octets = octets_of(layer); octets.slabs)
      split_weights(weights + layer.weights(), octets, stream_);
    if (const OctetLines& octets = octets_back(layer); octets.slabs)
      split_weights(weights, octets, stream_);
    set_planes(layer, walk_of(layer), parameters_, planes_.data(), stream_);
  }
  context_.set_parameters(parameters_, stream_);
  const bool has_closed_form = !convolutional_ && (layers_.size() == 2 || layers_.size() == 3);
  if (!has_closed_form || gated_output() || layers_.back().moves()) return;
  const std::size_t width = layers_.front().out();
  if (!closed_.c && !closed_.m)
    closed_memory_.build(stream_, [&](Arena& arena) {
      if (layers_.size() == 2) {
        closed_.c = arena.take(width);
      } else {
        const std::size_t size = layers_[1].out() * width;
        for (float** part : {&closed_.r, &closed_.m, &closed_.m_transposed})
          *part = arena.take(size);
      }
    });
  set_closed(arrays(), layers_, nullptr, 0, 1, closed_, stream_);
}

EvaluationForm DeviceNet::form_of(const TracePlan& trace, const Regularisers& regularisers,
                                  bool with_divergence, bool own_times) const {
  EvaluationForm form;
  form.regularisers = RegulariserList(regularisers, dimension_);
  const bool takes_tangents = regularisers.needing(Derivatives::Tangents) != nullptr;
  if (!with_divergence && !takes_tangents) return form;
  const Layer& last = layers_.back();
  if (!takes_tangents && trace.closed() && !last.moves() && !(own_times && last.gated())) {
    form.closed = true;
    return form;
  }
  form.lattices = trace.divergence == Divergence::Lattices;
  if (form.lattices) {
    for (const ProbeLattice& lattice : lattices_) {
      const int count = static_cast<int>(lattice.count());
      form.tangents = std::max(form.tangents, std::min(count, kMostLatticeProbes));
      form.keeps = form.keeps && count <= kMostLatticeProbes;
    }
    return form;
  }
  form.unit = trace.exact();
  form.tangents = form.unit ? dimension_ : trace.probes;
  form.vjp = trace.divergence == Divergence::Vjp && !takes_tangents;
  form.probes = form.vjp ? trace.probes : 0;
  form.keeps = !form.vjp;
  if (trace.divergence == Divergence::Bottleneck) form.encoder = trace.encoder;
  return form;
}

OctetScratch DeviceNet::make_octets(const EvaluationSize& size) const {
  OctetScratch s;
  const EvaluationForm form =
      form_of(size.trace, size.regularisers, true, size.groups == size.batch);
  const int channels = 1 + form.tangents;
  std::size_t octets = 0, scales = 0, slices = 0;
  for (const Layer& layer : layers_) {
    const RowLines rows = lines_of(layer, size.batch);
    for (const OctetLines* weights : {&octets_of(layer), &octets_back(layer)}) {
      if (!weights->slabs || size.groups > 1) continue;
      octets = std::max(octets, octets_of_rows(rows, channels, weights->depth));
      scales = std::max(scales, scales_of_rows(rows, channels, weights->depth));
      // What is not gone on with where it is made lies in slices: of parts, of taps, and of the
      // product behind a branch's first layer.
      const OctetSlices parts = slices_of(*weights, rows, channels);
      const bool are_units = layer.taps() > weights->taps;
      if (parts.count > 1 || are_units || is_first(layer))
        slices = std::max(slices, parts.floats());
    }
  }
  s.memory.build(stream_, [&](Arena& arena) {
    for (OctetScratch::Place& place : s.places) {
      place.slabs = reinterpret_cast<uint4*>(arena.take(octets * sizeof(uint4) / sizeof(float)));
      place.down = arena.take(scales);
    }
    s.slices = arena.take(slices);
  });
  // Products read lines on either side of the tiles, and make nothing of them.
  if (convolutional_) s.memory.fill(0, stream_);
  return s;
}

Evaluation DeviceNet::make_evaluation(const EvaluationSize& size,
                                      const OctetScratch& octets) const {
  Evaluation e;
  e.octets = &octets;
  const EvaluationForm form =
      form_of(size.trace, size.regularisers, true, size.groups == size.batch);
  const std::size_t batch = size.batch, groups = size.groups, width = layers_.front().out();
  e.memory.build(stream_, [&](Arena& arena) {
    e.times.units = units_;
    e.times.time = arena.take(groups);
    for (float** part : {&e.times.gate, &e.times.offset, &e.times.shift})
      *part = arena.take((conditional() ? batch : groups) * units_);
    if (hyper()) {
      e.times.bias = arena.take(groups * units_);
      e.times.packed = arena.take(groups * packed_size_);
    }
    if (form.closed && gated_output()) {
      if (layers_.size() == 2) {
        e.closed.c = arena.take(groups * width);
      } else {
        for (float** part : {&e.closed.r, &e.closed.m, &e.closed.m_transposed})
          *part = arena.take(groups * layers_[1].out() * width);
      }
    }
    if (!convolutional_) return;
    e.images.resize(branches_.size());
    for (BranchImages& images : e.images) {
      images.value = arena.take(batch * dimension_);
      images.tangents = arena.take(std::max(form.tangents, form.probes) * batch * dimension_);
    }
  });
  return e;
}

std::size_t DeviceNet::tape_floats(const EvaluationSize& size) const {
  Arena counted;
  Evaluation unused;
  place_tape(size, counted, unused);
  return counted.used();
}

void DeviceNet::place_tape(const EvaluationSize& size, float* tape, Evaluation& e) const {
  Arena arena(tape);
  place_tape(size, arena, e);
  e.tape = tape;
}

void DeviceNet::place_tape(const EvaluationSize& size, Arena& arena, Evaluation& e) const {
  const EvaluationForm form =
      form_of(size.trace, size.regularisers, true, size.groups == size.batch);
  const std::size_t batch = size.batch, encoder = form.encoder;
  e.layers.resize(layers_.size());
  e.repeated.resize(encoder);
  if (form.closed && layers_.size() == 3) e.closed_product = arena.take(batch * layers_[1].out());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    take_tape(arena, layer, batch, l < encoder ? 0 : form.tangents, e.layers[l]);
    if (l < encoder) take_tape(arena, layer, batch, form.tangents, e.repeated[l]);
    if (form.closed && l + 1 < layers_.size()) e.layers[l].closed = arena.take(batch * layer.out());
  }
  if (!convolutional_) return;
  e.joined.value = arena.take(batch * dimension_);
  if (!form.lattices) e.joined.tangent = arena.take(form.tangents * batch * dimension_);
}

PullbackScratch DeviceNet::make_scratch(const EvaluationSize& size) const {
  PullbackScratch s;
  const EvaluationForm form =
      form_of(size.trace, size.regularisers, true, size.groups == size.batch);
  const std::size_t batch = size.batch;
  const int channels = 1 + form.tangents;
  const Layer &first = layers_.front(), &last = layers_.back();
  const int hyper_groups = hyper() ? size.groups : 1;
  const int closed_sets = form.closed && gated_output() ? size.groups : 1;
  s.time_parts = form.closed ? 1 : 0;
  std::size_t slices = 0, columns = 0, hyper_scratch = 0, pixel_times = 0, plane_sums = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const int passes = form.lattices ? lattice_passes(l) : l < std::size_t(form.encoder) ? 2 : 1;
    const int unit_tiles = tiles_of(layer.out(), SmallTile::kUnits);
    s.time_parts += passes * ((convolutional_ ? 1 : unit_tiles) + layer.moves());
    const int rows = size.batch * layer.pixels();
    s.sum_tiles = std::max(
        {s.sum_tiles, tiles_of(rows, SmallTile::kRows), lines_of(layer, size.batch).tiles()});
    pixel_times = std::max(pixel_times, std::size_t(unit_tiles) * rows);
    if (layer.has_planes()) plane_sums = std::max(plane_sums, 2 * layer.map.size_out());
    slices = std::max(slices, most_slice_floats(rows, layer.out(), layer.taps() * layer.in(),
                                                layer.expanded(), hyper_groups));
    if (!layer.hyper()) {
      const OuterArguments outer = outer_products(layer, size.batch, form.tangents);
      columns = std::max(columns, outer_columns(outer, stream_.options()));
      slices = std::max(slices, outer_slices(outer, stream_.options()));
    }
    if (layer.hyper())
      hyper_scratch = std::max(hyper_scratch, hypernet_scratch(layer, size.groups));
  }
  if (form.closed)
    slices =
        std::max(slices, most_slice_floats(size.batch, layers_.size() == 3 ? layers_[1].out() : 1,
                                           first.out(), false, closed_sets));
  s.memory.build(stream_, [&](Arena& arena) {
    for (int i : {0, 1}) {
      s.value_bars[i] = arena.take(batch * widest_);
      s.tangent_bars[i] = arena.take(form.tangents * batch * widest_);
    }
    s.unit_sums = arena.take(std::size_t(kUnitSums) * s.sum_tiles * units_);
    s.time_bars = arena.take(s.time_parts * batch);
    s.slices = arena.take(slices);
    s.columns = columns > 0 ? arena.take(columns) : nullptr;
    if (form.tangents > 1)
      for (float** part : {&s.logits, &s.betas}) *part = arena.take(batch * widest_);
    s.hyper_scratch = arena.take(hyper_scratch);
    if (form.closed) {
      s.closed_bars[0] = arena.take(batch * first.out());
      s.closed_bars[1] = layers_.size() == 3 ? arena.take(batch * layers_[1].out()) : nullptr;
      s.closed_weighted = arena.take(batch * (layers_.size() == 3 ? layers_[1].out() : 1));
      s.closed_scratch = arena.take(closed_scratch(layers_, closed_sets));
    }
    if (last.expanded()) s.second = arena.take(channels * batch * widest_);
    if (!convolutional_) return;
    s.joined_bars[0] = arena.take(batch * dimension_);
    if (!form.lattices) s.joined_bars[1] = arena.take(form.tangents * batch * dimension_);
    s.pixel_times = arena.take(pixel_times);
    s.plane_sums = arena.take(plane_sums);
    if (conditional()) s.pixel_logits = arena.take(batch * widest_);
  });
  return s;
}

}  // namespace ffjord::cuda
