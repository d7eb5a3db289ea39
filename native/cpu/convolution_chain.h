// A chain of convolutional layers on a tile, columns in and columns out, and its pullback.
//
// What a pass keeps for its pullback are its images of (a, ȧ), σ' or (z, u): recomputing is for who
// calls. Values and tangents, and their cotangents, pass each product side by side.
#pragma once

#include <span>
#include <vector>

#include "core/squeezed_view.h"
#include "cpu/context_map.h"
#include "cpu/convolution_layer.h"
#include "cpu/layer_backward.h"
#include "cpu/net_gradient.h"
#include "cpu/tile_field.h"
#include "cpu/time_slot.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// What a pass leaves in a chain for its pullback. Entry l is behind l layers, entry 0 the input.
struct ChainMemory {
  std::vector<AlignedFloats> outputs;         ///< (a, ȧ), images
  std::vector<AlignedFloats> preactivations;  ///< (z, u), images, where a pullback needs them
  std::vector<AlignedFloats> slopes;          ///< σ'(z), [pixel][channel][rows of the pass]
  /// Of a layer that a context moves: g [channel][rows of the pass], and g ⊙ (b + V c) + s
  /// [unit][rows of the pass].
  std::vector<AlignedFloats> row_gates, row_offsets;
};

/// What a pass needs beside.
struct ChainScratch {
  std::vector<AlignedFloats> cotangents;  ///< images, behind l layers
  AlignedFloats row_sums;   ///< Σ z̄ over the pixels of a class, [unit][rows of the pass]
  AlignedFloats gate_sums;  ///< Σ z̄ (z − s) + ū u over pixels, [channel][rows of the pass]
  AlignedFloats
      pixel_sums;  ///< Σ z̄ of the pass's strips, [pixel][channel][kLanes], for coordinates
  AlignedFloats pixel_terms;  ///< of one pixel: g ⊙ b + s + r, or Σ z̄, [channel][rows of the pass]
  AlignedFloats products;  ///< of the kernels
};

/// What a pullback adds to. Null where it is not wanted.
struct ChainReverse {
  NetGradient* gradient = nullptr;
  float* terms_bar = nullptr;   ///< [P][rows of the tile]
  double* times_bar = nullptr;  ///< [rows of the tile]; null: `t_bar`
  double t_bar = 0;
};

class ConvolutionChain {
 public:
  /// The layers of a branch, of a net whose samples are (channels, plane).
  ConvolutionChain(std::vector<ConvolutionLayer>& layers, const Branch& branch, int channels,
                   Plane plane, const ContextMap& context);

  /// After the weights changed.
  void pack();

  /// Runs a pass from `input` to `output`, panels of the D features of a row, and stores there or
  /// adds. `terms`: of the context, [P][rows of the tile], or null.
  void run(const FieldPass& pass, const NetTime& time, const float* terms, const Panels& input,
           const Panels& output, bool adds, ChainMemory& memory, ChainScratch& scratch,
           bool keep) const;
  /// Cotangents of what `run` left with `keep` → those of its input, stored or added. Without
  /// `reverse` nothing else is computed: the values' cotangents alone are pulled back, of a pass
  /// without tangents.
  void pull(const FieldPass& pass, const NetTime& time, const Panels& output_bar,
            const Panels& input_bar, bool adds, ChainMemory& memory, ChainScratch& scratch,
            ChainReverse* reverse) const;

  /// Floats that a kept pass takes for each of its panels, and the largest image of them.
  std::size_t floats_per_panel() const;
  std::size_t largest_image() const {
    std::size_t largest = 0;
    for (const ImageLayout& layout : layouts_) largest = std::max(largest, layout.panel_stride());
    return largest;
  }

 private:
  int count() const { return static_cast<int>(layers_.size()); }
  bool moves_gates(int l) const { return context_.moves_gates(first_ + l); }
  bool moves(int l) const { return context_.moves(first_ + l); }
  Images images(AlignedFloats& memory, int l, int panels) const {
    reserve(memory, layouts_[l].floats(panels));
    return {memory.data(), layouts_[l]};
  }
  /// Those that a layer has none of begin nowhere, and no stride leads on from there.
  RowVectors of_pass(const FieldPass& pass, const NetTime& time, const AlignedFloats& data) const {
    if (data.empty()) return {nullptr, 0, 0};
    RowVectors vectors = time.vectors(data, static_cast<int>(pass.rows / kLanes));
    vectors.data += pass.first_strip * vectors.strip_stride;
    return vectors;
  }
  RowVectors times_of(const FieldPass& pass, const NetTime& time) const {
    RowVectors vectors = time.time_vectors();
    vectors.data += pass.first_strip * vectors.strip_stride;
    return vectors;
  }
  RowVectors gates_of(const FieldPass& pass, const NetTime& time, const ChainMemory& memory,
                      int l) const;
  RowVectors offsets_of(const FieldPass& pass, const NetTime& time, const ChainMemory& memory,
                        int l) const;

  void set_row_terms(const FieldPass& pass, const NetTime& time, int l, const float* terms,
                     ChainMemory& memory) const;
  void run_layer(const FieldPass& pass, const NetTime& time, int l, ChainMemory& memory,
                 ChainScratch& scratch, bool keep) const;
  template <class Behind>
  void pull_activations(const FieldPass& pass, const NetTime& time, int l, ChainMemory& memory,
                        ChainScratch& scratch, ChainReverse* reverse, Behind behind) const;
  void finish_layer(const FieldPass& pass, const NetTime& time, int l, ChainMemory& memory,
                    ChainScratch& scratch, ChainReverse& reverse) const;
  void pull_coordinates(int l, const ChainScratch& scratch, LayerGradient& gradient) const;
  void add_to_times(const FieldPass& pass, const NetTime& time, int strip, Vec t_bar,
                    ChainReverse& reverse) const;
  void expand_input(const FieldPass& pass, const NetTime& time, int l, const Images& input) const;
  void contract_input(const FieldPass& pass, const NetTime& time, int l, ChainMemory& memory,
                      ChainScratch& scratch, ChainReverse* reverse) const;

  std::span<ConvolutionLayer> layers_;
  const int first_;  // number of the first layer in its net
  const ContextMap& context_;
  std::vector<ImageLayout> layouts_;               // after l layers
  std::vector<std::size_t> input_at_, output_at_;  // of a feature in a panel of images
};

/// Features of a row → where they lie in a panel of the images of its squeezed view.
inline std::vector<std::size_t> feature_places(const ImageLayout& layout,
                                               const std::vector<std::uint32_t>& squeezed) {
  std::vector<std::size_t> places(squeezed.size());
  const std::size_t plane = layout.plane.size();
  for (std::size_t i = 0; i < squeezed.size(); ++i) {
    const int pixel = static_cast<int>(i % plane);
    places[squeezed[i]] = layout.offset(pixel / layout.plane.width, pixel % layout.plane.width) +
                          i / plane * kFeatureStride;
  }
  return places;
}

inline ConvolutionChain::ConvolutionChain(std::vector<ConvolutionLayer>& layers,
                                          const Branch& branch, int channels, Plane plane,
                                          const ContextMap& context)
    : layers_(std::span(layers).subspan(branch.first, branch.depth())),
      first_(static_cast<int>(branch.first)),
      context_(context),
      layouts_(image_layouts(layers_)) {
  const auto squeezed = squeezed_places(channels, plane, branch.squeezes);
  input_at_ = feature_places(layouts_.front(), squeezed);
  output_at_ = feature_places(layouts_.back(), squeezed);
  for (int l = 0; l < count(); ++l) {
    ConvolutionLayer& layer = layers_[l];
    layer.in_stored = layouts_[l].channels;
    layer.out_stored = layouts_[l + 1].channels;
    const bool transposed = layer.map.transposed();
    layer.gradient = {layer.map, transposed ? layer.in_stored : layer.out_stored,
                      transposed ? layer.out_stored : layer.in_stored};
  }
}

inline void ConvolutionChain::pack() {
  for (ConvolutionLayer& layer : layers_) layer.pack();
}

inline std::size_t ConvolutionChain::floats_per_panel() const {
  std::size_t floats = 0;
  for (int l = 0; l <= count(); ++l) {
    floats += layouts_[l].panel_stride();
    if (l == 0) continue;
    if (layers_[l - 1].keeps_preactivations()) floats += layouts_[l].panel_stride();
    if (layers_[l - 1].activation == Activation::Softplus) floats += layouts_[l].panel_stride() / 2;
  }
  return floats;
}

inline RowVectors ConvolutionChain::gates_of(const FieldPass& pass, const NetTime& time,
                                             const ChainMemory& memory, int l) const {
  if (!moves_gates(l)) return of_pass(pass, time, time.layers[first_ + l].gate);
  return {memory.row_gates[l].data(), pass.columns.strips * kLanes, kLanes};
}

inline RowVectors ConvolutionChain::offsets_of(const FieldPass& pass, const NetTime& time,
                                               const ChainMemory& memory, int l) const {
  if (!moves(l)) return of_pass(pass, time, time.layers[first_ + l].offset);
  return {memory.row_offsets[l].data(), pass.columns.strips * kLanes, kLanes};
}

/// The vectors of a layer's units in class `index`.
inline RowVectors of_class(RowVectors vectors, int index, int channels) {
  vectors.data += std::size_t(index) * channels * vectors.feature_stride;
  return vectors;
}

/// Copies panels of features to panels of images.
inline void load_images(const Panels& features, const Images& images,
                        const std::vector<std::size_t>& places, int panels) {
  for (int panel = 0; panel < panels; ++panel) {
    const float* from = features.data + panel * features.stride;
    float* const image = images.data + panel * images.layout.panel_stride();
    for (const std::size_t place : places) {
      store(image + place, load(from));
      store(image + place + kLanes, load(from + kLanes));
      from += kFeatureStride;
    }
  }
}

/// The other way round, stored or added.
inline void store_images(const Images& images, const Panels& features, bool adds,
                         const std::vector<std::size_t>& places, int panels) {
  for (int panel = 0; panel < panels; ++panel) {
    float* to = features.data + panel * features.stride;
    const float* const image = images.data + panel * images.layout.panel_stride();
    for (const std::size_t place : places)
      for (int second = 0; second < kPanelColumns; ++second, to += kLanes) {
        const Vec value = load(image + place + second * kLanes);
        store(to, adds ? load(to) + value : value);
      }
  }
}

template <class Visit>
void for_each_pixel(const Plane& plane, Visit visit) {
  for (int y = 0; y < plane.height; ++y)
    for (int x = 0; x < plane.width; ++x) visit(y, x);
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
