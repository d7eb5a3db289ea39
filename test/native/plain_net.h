// f, its divergence and regularisers, and their pullback, in plain loops over rows: the measure of
// what the kernels compute. In double it is the truth (finite differences hold it to that), in
// float it says what plain float32 arithmetic reaches.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "core/flow_description.h"
#include "core/flow_layout.h"
#include "core/regularisers.h"
#include "core/trace_plan.h"
#include "test/native/plain_regularisers.h"

namespace ffjord::check {

template <class Real>
struct PlainActivation {
  Real a, slope, bend, beta_slope, beta_bend;  // σ, σ', σ'', ∂σ/∂β, ∂σ'/∂β

  PlainActivation(Activation kind, Real z, Real beta)
      : a(z), slope(1), bend(0), beta_slope(0), beta_bend(0) {
    const Real s = 1 / (1 + std::exp(-(kind == Activation::Swish ? beta * z : z)));
    switch (kind) {
      case Activation::Tanh:
        a = std::tanh(z), slope = 1 - a * a, bend = -2 * a * slope;
        break;
      case Activation::Softplus:
        a = std::fmax(z, Real(0)) + std::log1p(std::exp(-std::fabs(z)));
        slope = s, bend = s * (1 - s);
        break;
      case Activation::Elu:
        if (z <= 0) a = std::expm1(z), slope = bend = std::exp(z);
        break;
      case Activation::Relu:
        if (z <= 0) a = slope = 0;
        break;
      case Activation::Square:
        a = z * z, slope = 2 * z, bend = 2;
        break;
      case Activation::Swish: {
        const Real y = beta * z, d = s * (1 - s), e = 2 + y * (1 - 2 * s);
        a = z * s, slope = s + y * d, bend = beta * d * e;
        beta_slope = z * z * d, beta_bend = z * d * e;
        break;
      }
      case Activation::Identity:
        break;
    }
  }
};

/// One row's cotangents; θ̄ and t̄ are added to.
template <class Real>
struct PlainCotangents {
  const Real* f;
  Real divergence = 0;
  std::vector<Real> regularisers = {};  // one a name
};

template <class Real>
class PlainNet {
 public:
  PlainNet(const Net& net, int dimension, const BlockOffsets& offsets, std::vector<Real> parameters)
      : net_(net), dimension_(dimension), offsets_(offsets), parameters_(std::move(parameters)) {
    widths_.push_back(dimension);
    widths_.insert(widths_.end(), net.hidden.begin(), net.hidden.end());
    widths_.push_back(dimension);
  }

  std::vector<Real>& parameters() { return parameters_; }

  /// Σ |share| of rows and units in each β̄, by its offset. β̄ is one number, which may cancel.
  std::map<std::size_t, Real> beta_sizes;

  /// `eps` (K, D) of this row, unit vectors for an exact trace. `regularisers` holds one value a
  /// name.
  void evaluate(Real t, const Real* z, const std::vector<std::vector<Real>>& eps, Real weight,
                const Regularisers& names, Real* f, Real& divergence, Real* regularisers) {
    run(t, z, eps);
    divergence = 0;
    const std::size_t last = layers_.size();
    for (int i = 0; i < dimension_; ++i)
      for (std::size_t k = 0; k < eps.size(); ++k)
        divergence += weight * eps[k][i] * tangents_[last][k][i];
    if (net_.residual) divergence -= dimension_;
    const PlainField<Real> field = field_of(eps, weight);
    std::copy(field.f.begin(), field.f.end(), f);
    for (const Regulariser* one : names) *regularisers++ = plain_integrand(one->name, field);
  }

  /// The pullback of the evaluation just made. z̄ is written, θ̄ added to; returns t̄.
  Real pullback(Real t, const std::vector<std::vector<Real>>& eps, Real weight,
                const Regularisers& names, const PlainCotangents<Real>& bar, Real* z_bar,
                std::vector<Real>& gradients) {
    const std::size_t last = layers_.size(), tangents = eps.size();
    Real t_bar = 0;
    std::vector<Real> a_bar(dimension_);
    std::vector<std::vector<Real>> tangent_bar(tangents, std::vector<Real>(dimension_));
    for (int i = 0; i < dimension_; ++i) {
      a_bar[i] = bar.f[i];
      for (std::size_t k = 0; k < tangents; ++k)
        tangent_bar[k][i] = weight * bar.divergence * eps[k][i];
    }
    const PlainField<Real> field = field_of(eps, weight);
    std::size_t channel = 0;
    for (const Regulariser* one : names)
      plain_integrand_pullback(one->name, field, bar.regularisers[channel++], a_bar, tangent_bar);
    for (int i = 0; i < dimension_; ++i) z_bar[i] = net_.residual ? -a_bar[i] : 0;
    for (std::size_t l = last; l-- > 0;) {
      const PlainLayer& layer = layers_[l];
      const LayerOffsets& at = offsets_.net.layers[l].offsets;
      const int in = widths_[l], out = widths_[l + 1];
      std::vector<Real> input_bar(in, 0), w_bar(std::size_t(in) * out, 0), b_bar(out, 0);
      std::vector<std::vector<Real>> input_tangent_bar(tangents, std::vector<Real>(in, 0));
      for (int j = 0; j < out; ++j) {
        const PlainActivation<Real> sigma(activation(l), z_[l][j], beta(l));
        Real z = sigma.slope * a_bar[j], beta_bar = sigma.beta_slope * a_bar[j];
        std::vector<Real> u(tangents);
        for (std::size_t k = 0; k < tangents; ++k) {
          z += sigma.bend * u_[l][k][j] * tangent_bar[k][j];
          beta_bar += sigma.beta_bend * u_[l][k][j] * tangent_bar[k][j];
          u[k] = sigma.slope * tangent_bar[k][j];
        }
        if (at.beta != kAbsent) {
          gradients[at.beta] += beta_bar;
          beta_sizes[at.beta] += std::fabs(beta_bar);
        }
        const Real g = layer.gate[j];
        Real gate_bar = z * (z_[l][j] - layer.shift[j]) / g;
        b_bar[j] = g * z;
        for (int i = 0; i < in; ++i) {
          Real sum = g * z * a_[l][i];
          input_bar[i] += g * z * layer.w[j * in + i];
          for (std::size_t k = 0; k < tangents; ++k) {
            sum += g * u[k] * tangents_[l][k][i];
            input_tangent_bar[k][i] += g * u[k] * layer.w[j * in + i];
          }
          w_bar[j * in + i] = sum;
        }
        for (std::size_t k = 0; k < tangents; ++k) gate_bar += u[k] * u_[l][k][j] / g;
        const Real logit_bar = gate_bar * g * (1 - g);
        t_bar += shift_weight(l, j) * z;
        if (at.shift != kAbsent) gradients[at.shift + j] += t * z;
        if (at.gate_weight != kAbsent) {
          t_bar += parameters_[at.gate_weight + j] * logit_bar;
          gradients[at.gate_weight + j] += t * logit_bar;
          gradients[at.gate_bias + j] += logit_bar;
        }
        if (net_.layer == LayerKind::Concat)
          gradients[at.weight + std::size_t(j) * (in + 1)] += t * z;
      }
      t_bar += weight_pullback(l, t, w_bar, b_bar, gradients);
      a_bar = input_bar;
      tangent_bar = input_tangent_bar;
    }
    for (int i = 0; i < dimension_; ++i) z_bar[i] += a_bar[i];
    return t_bar;
  }

 private:
  struct PlainLayer {
    std::vector<Real> w, b, gate, shift;  // W(t) (out, in), b(t), g(t), s(t)
    std::vector<Real> hidden;             // of a hypernet
  };

  /// Of the evaluation just made.
  PlainField<Real> field_of(const std::vector<std::vector<Real>>& eps, Real weight) const {
    PlainField<Real> field{a_.back(), tangents_.back(), weight};
    for (int i = 0; i < dimension_ && net_.residual; ++i) {
      field.f[i] -= a_[0][i];
      for (std::size_t k = 0; k < eps.size(); ++k) field.tangents[k][i] -= eps[k][i];
    }
    return field;
  }

  Activation activation(std::size_t l) const {
    return l + 1 < layers_.size() ? net_.activation : Activation::Identity;
  }
  Real beta(std::size_t l) const {
    const std::size_t at = offsets_.net.layers[l].offsets.beta;
    return at == kAbsent ? Real(1) : parameters_[at];
  }
  Real shift_weight(std::size_t l, int j) const {
    const LayerOffsets& at = offsets_.net.layers[l].offsets;
    if (net_.layer == LayerKind::Concat)
      return parameters_[at.weight + std::size_t(j) * (widths_[l] + 1)];
    return at.shift == kAbsent ? Real(0) : parameters_[at.shift + j];
  }

  void set_time(Real t) {
    layers_.assign(offsets_.net.layers.size(), {});
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const LayerOffsets& at = offsets_.net.layers[l].offsets;
      const int in = widths_[l], out = widths_[l + 1];
      const Real* p = parameters_.data();
      PlainLayer& layer = layers_[l];
      layer.w.resize(std::size_t(in) * out);
      layer.b.resize(out);
      if (net_.layer == LayerKind::Hyper) {
        for (int m = 0; m < 8; ++m)
          layer.hidden.push_back(std::tanh(p[at.hyper0_weight + m] * t + p[at.hyper0_bias + m]));
        for (std::size_t o = 0; o < std::size_t(out) * (in + 1); ++o) {
          Real sum = p[at.hyper2_bias + o];
          for (int m = 0; m < 8; ++m) sum += p[at.hyper2_weight + o * 8 + m] * layer.hidden[m];
          (o < std::size_t(out) ? layer.b[o] : layer.w[o - out]) = sum;
        }
      } else {
        const int first = net_.layer == LayerKind::Concat ? 1 : 0;
        for (int j = 0; j < out; ++j) {
          layer.b[j] = p[at.bias + j];
          for (int i = 0; i < in; ++i)
            layer.w[j * in + i] = p[at.weight + std::size_t(j) * (in + first) + first + i];
          if (net_.layer != LayerKind::Blend) continue;
          layer.b[j] += t * (p[at.bias1 + j] - p[at.bias + j]);
          for (int i = 0; i < in; ++i)
            layer.w[j * in + i] += t * (p[at.weight1 + j * in + i] - p[at.weight + j * in + i]);
        }
      }
      for (int j = 0; j < out; ++j) {
        layer.shift.push_back(shift_weight(l, j) * t);
        layer.gate.push_back(
            at.gate_weight == kAbsent
                ? Real(1)
                : 1 / (1 + std::exp(-(p[at.gate_weight + j] * t + p[at.gate_bias + j]))));
      }
    }
  }

  void run(Real t, const Real* z, const std::vector<std::vector<Real>>& eps) {
    if (layers_.empty() || t != t_ || stale_) set_time(t_ = t), stale_ = false;
    a_.assign(1, std::vector<Real>(z, z + dimension_));
    tangents_.assign(1, eps);
    z_.clear(), u_.clear();
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const PlainLayer& layer = layers_[l];
      const int in = widths_[l], out = widths_[l + 1];
      std::vector<Real> zs(out), as(out);
      std::vector<std::vector<Real>> us(eps.size(), std::vector<Real>(out)), ts = us;
      for (int j = 0; j < out; ++j) {
        Real sum = layer.b[j];
        for (int i = 0; i < in; ++i) sum += layer.w[j * in + i] * a_[l][i];
        zs[j] = layer.gate[j] * sum + layer.shift[j];
        const PlainActivation<Real> sigma(activation(l), zs[j], beta(l));
        as[j] = sigma.a;
        for (std::size_t k = 0; k < eps.size(); ++k) {
          Real tangent = 0;
          for (int i = 0; i < in; ++i) tangent += layer.w[j * in + i] * tangents_[l][k][i];
          us[k][j] = layer.gate[j] * tangent;
          ts[k][j] = sigma.slope * us[k][j];
        }
      }
      z_.push_back(zs), u_.push_back(us), a_.push_back(as), tangents_.push_back(ts);
    }
  }

  /// Chains W̄(t), b̄(t) to the parameters behind them; returns their share of t̄.
  Real weight_pullback(std::size_t l, Real t, const std::vector<Real>& w_bar,
                       const std::vector<Real>& b_bar, std::vector<Real>& gradients) const {
    const LayerOffsets& at = offsets_.net.layers[l].offsets;
    const int in = widths_[l], out = widths_[l + 1];
    const Real* p = parameters_.data();
    Real t_bar = 0;
    if (net_.layer == LayerKind::Hyper) {
      std::vector<Real> hidden_bar(8, 0);
      for (std::size_t o = 0; o < std::size_t(out) * (in + 1); ++o) {
        const Real bar = o < std::size_t(out) ? b_bar[o] : w_bar[o - out];
        gradients[at.hyper2_bias + o] += bar;
        for (int m = 0; m < 8; ++m) {
          gradients[at.hyper2_weight + o * 8 + m] += bar * layers_[l].hidden[m];
          hidden_bar[m] += bar * p[at.hyper2_weight + o * 8 + m];
        }
      }
      for (int m = 0; m < 8; ++m) {
        const Real h = layers_[l].hidden[m], bar = (1 - h * h) * hidden_bar[m];
        gradients[at.hyper0_weight + m] += t * bar;
        gradients[at.hyper0_bias + m] += bar;
        t_bar += p[at.hyper0_weight + m] * bar;
      }
      return t_bar;
    }
    const bool blend = net_.layer == LayerKind::Blend;
    const int first = net_.layer == LayerKind::Concat ? 1 : 0;
    for (int j = 0; j < out; ++j) {
      gradients[at.bias + j] += (blend ? 1 - t : 1) * b_bar[j];
      if (blend) {
        gradients[at.bias1 + j] += t * b_bar[j];
        t_bar += (p[at.bias1 + j] - p[at.bias + j]) * b_bar[j];
      }
      for (int i = 0; i < in; ++i) {
        const std::size_t to = at.weight + std::size_t(j) * (in + first) + first + i;
        gradients[to] += (blend ? 1 - t : 1) * w_bar[j * in + i];
        if (!blend) continue;
        gradients[at.weight1 + j * in + i] += t * w_bar[j * in + i];
        t_bar += (p[at.weight1 + j * in + i] - p[to]) * w_bar[j * in + i];
      }
    }
    return t_bar;
  }

  const Net net_;
  const int dimension_;
  const BlockOffsets offsets_;
  std::vector<Real> parameters_;
  std::vector<int> widths_;

  Real t_ = 0;
  std::vector<PlainLayer> layers_;
  std::vector<std::vector<Real>> a_, z_;                      // [layer][feature]
  std::vector<std::vector<std::vector<Real>>> tangents_, u_;  // [layer][tangent][feature]

 public:
  bool stale_ = false;
};

}  // namespace ffjord::check
