// The layer table: what each kind of layer is made of, and a net as a list of layers, each with its
// linear map and the places of its weights. Validation, the parameter layout and all engines read
// it; the structures of an engine add what the engine alone keeps.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/linear_map.h"

namespace ffjord {

/// y = g(t) ⊙ (W(t) a + b(t)) + s(t); the kinds differ in g, s and W(t) only (docs/mathematics.md).
enum class LayerKind { Ignore, Concat, ConcatV2, Squash, ConcatSquash, Blend, Hyper, ConcatCoord };
enum class Activation { Tanh, Softplus, Elu, Relu, Swish, Square, Identity };

/// What a kind of layer has beside W and b.
struct LayerForm {
  bool time_channel = false;  ///< t is the first channel of the input
  bool coordinates = false;   ///< t, the row's index and the column's are its last three channels
  bool shift = false;         ///< s(t) = u t
  bool gate = false;          ///< g(t) = σ(a t + q)
  bool second_map = false;    ///< W(t) = W₀ + (W₁ − W₀) t, and b(t) alike
  bool hypernet = false;      ///< W(t) and b(t) are a small net of t
};

struct LayerKindRow {
  LayerKind kind;
  std::string_view name;  ///< in files and in JavaScript
  LayerForm form = {};
  std::string_view gate_tensor = "";  ///< what the reference calls the gate
};

inline constexpr LayerKindRow kLayerKinds[] = {
    {LayerKind::Ignore, "ignore", {}},
    {LayerKind::Concat, "concat", {.time_channel = true}},
    {LayerKind::ConcatV2, "concat_v2", {.shift = true}},
    {LayerKind::Squash, "squash", {.gate = true}, "_hyper"},
    {LayerKind::ConcatSquash, "concatsquash", {.shift = true, .gate = true}, "_hyper_gate"},
    {LayerKind::Blend, "blend", {.second_map = true}},
    {LayerKind::Hyper, "hyper", {.hypernet = true}},
    {LayerKind::ConcatCoord, "concatcoord", {.coordinates = true}},
};

/// Units of a hypernet's hidden layer: Linear(1 → 8), tanh, Linear(8 → out · in + out).
inline constexpr int kHypernetUnits = 8;

/// Offsets of one layer's tensors in the flat parameter buffer; absent ones are kAbsent.
inline constexpr std::size_t kAbsent = ~std::size_t{0};
struct LayerOffsets {
  std::size_t weight = kAbsent, bias = kAbsent;                // _layer (or _layer0 of blend)
  std::size_t weight1 = kAbsent, bias1 = kAbsent;              // _layer1 of blend
  std::size_t gate_weight = kAbsent, gate_bias = kAbsent;      // a, q
  std::size_t shift = kAbsent;                                 // u
  std::size_t context = kAbsent;                               // V (out, C)
  std::size_t context_gate = kAbsent;                          // U (out, C)
  std::size_t hyper0_weight = kAbsent, hyper0_bias = kAbsent;  // 1 → 8
  std::size_t hyper2_weight = kAbsent, hyper2_bias = kAbsent;  // 8 → out · in + out: b, then W
  std::size_t beta = kAbsent;                                  // β of the swish behind the layer
};

/// Where a row's context has what it adds to a layer by itself, y += (x U) V + β.
struct AmortisedTerms {
  std::size_t left = kAbsent, right = kAbsent;  ///< U (in, k), V (k, out); absent where k = 0
  std::size_t bias = kAbsent;                   ///< β (out)
  int rank = 0;                                 ///< k
};

/// A row of a net's plan. It is plain numbers, so that a kernel can take it by value.
struct LayerPlan {
  LayerKind kind = LayerKind::Ignore;
  LayerForm form = {};
  Activation activation = Activation::Identity;  ///< behind it
  LinearMap map = {};                            ///< takes the input without t
  bool context_moves_bias = false;               ///< b + V c
  bool context_moves_gate = false;               ///< σ(a t + q + U c)
  AmortisedTerms amortised = {};                 ///< of a context that is added as it is
  LayerOffsets offsets = {};                     ///< once a layout has placed the net

  constexpr bool gated() const { return form.gate; }
  constexpr bool shifted() const { return form.shift; }
  constexpr bool expanded() const { return form.second_map; }
  constexpr bool hyper() const { return form.hypernet; }
  constexpr bool takes_time() const { return form.time_channel; }
  /// Channels beside those of the layer before, each the same for all rows: t, or t and two
  /// coordinates. What W makes of them is a part of s(t).
  constexpr int planes() const { return form.time_channel ? 1 : form.coordinates ? 3 : 0; }
  /// Where they stand among the channels that W is stored for, and where the others do.
  constexpr int first_plane() const { return form.coordinates ? in() : 0; }
  constexpr int first_input() const { return form.time_channel ? 1 : 0; }
  /// Whether W and b change with t.
  constexpr bool moves() const { return expanded() || hyper(); }

  /// Whether a pullback needs z and u themselves, which do not follow from σ(z) and σ'(z) u.
  constexpr bool keeps_preactivations() const {
    return gated() || activation == Activation::Swish || activation == Activation::Square;
  }

  constexpr int in() const { return map.channels_in; }
  constexpr int out() const { return map.channels_out; }
  /// The map whose W stands among the parameters.
  constexpr LinearMap stored_map() const { return map.with_channels_in(in() + planes()); }
  /// Outputs of a hypernet: b, then W.
  constexpr std::size_t hypernet_outputs() const { return out() + map.weight_count(); }

  // What follows speaks of dense layers in float32. A second map is computed as W₀ a + (W₁ − W₀)
  // (t a): its input is (a, t a), its W holds both matrices side by side, and what is left of b(t)
  // is a shift.

  constexpr int depth() const { return expanded() ? 2 * in() : in(); }
  /// Where W (out, in) begins, without the column of t.
  constexpr std::size_t weight_offset() const { return offsets.weight + takes_time(); }
  constexpr int weight_stride() const { return in() + takes_time(); }
  /// w of s(t) = w t.
  constexpr float shift_weight(const float* parameters, std::size_t unit) const {
    if (shifted()) return parameters[offsets.shift + unit];
    if (takes_time()) return parameters[offsets.weight + unit * weight_stride()];
    return expanded() ? parameters[offsets.bias1 + unit] - parameters[offsets.bias + unit] : 0.f;
  }
};

struct ParameterRange {
  std::size_t offset = 0, size = 0;
};

/// A chain of layers that sees the sample squeezed so many times (core/squeezed_view.h).
struct Branch {
  std::size_t first = 0, end = 0;  ///< of its layers among the net's
  int squeezes = 0;

  constexpr std::size_t depth() const { return end - first; }
};

/// f(z, t) = Σ_b unsqueeze(net_b(t, squeeze(z))), over branches; most nets have one, which takes z
/// as it is.
struct NetPlan {
  std::vector<LayerPlan> layers;  ///< at least one; a branch's are side by side
  std::vector<Branch> branches;   ///< at least one; together they have all layers, in order
  bool residual = false;          ///< f(z) − z in place of f(z)
  int spectral_norm = 0;          ///< power iterations a step; 0: weights as they are
  int context_size = 0;           ///< C
  bool zero_last = false;         ///< W of a branch's last layer starts at zero
  /// Its tensors in the order of the flat buffer, once a layout has placed it.
  std::vector<ParameterRange> tensors;

  bool convolutional() const {
    for (const LayerPlan& layer : layers)
      if (!layer.map.is_dense) return true;
    return false;
  }
  bool has_branches() const { return branches.size() > 1; }
  /// Whether W itself differs from row to row.
  bool has_row_weights() const { return layers.front().amortised.rank > 0; }
  const LayerPlan& last() const { return layers.back(); }
  std::size_t hidden_count() const { return layers.size() - 1; }
  std::size_t size_in() const { return layers.front().map.size_in(); }
  std::size_t size_out() const { return last().map.size_out(); }
};

/// Layers of one kind over maps that follow each other, the activation behind all but the last: a
/// net of one branch.
NetPlan plan_net(LayerKind kind, Activation activation, const std::vector<LinearMap>& maps);

/// Puts a net's branches behind those of `net`, whose size they share.
void add_branches(NetPlan& net, const NetPlan& more);

const LayerKindRow& row_of(LayerKind kind);

/// The spelling used in files and in JavaScript; the `parse_` forms throw on an unknown name.
std::string_view name_of(LayerKind kind);
std::string_view name_of(Activation activation);
LayerKind parse_layer(std::string_view name);
Activation parse_activation(std::string_view name);

}  // namespace ffjord
