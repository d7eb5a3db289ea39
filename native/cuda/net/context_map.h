// What a context c adds to the net of each row: r = M c, the rows of M in order V of the first
// layer and U of the gates of each hidden layer (docs/mathematics.md). A row's r is constant along
// its trajectory, so that it is made once a solve, and its cotangent gathered over it.
#pragma once

#include <span>
#include <vector>

#include "cuda/device/memory.h"
#include "cuda/net/layer.h"
#include "cuda/net/multiply.h"

namespace ffjord::cuda {

/// Cotangents r̄ (B, stride) of the terms, to which `sign` times theirs is added; null: not wanted.
struct TermsBar {
  float* data = nullptr;
  int stride = 0;
  float sign = 1;
};

/// Rows that all work, with their context.
struct ContextRows {
  Groups groups;
  int batch = 0;
  const float* context = nullptr;  ///< (B, C)
};

class ContextMap {
 public:
  ContextMap(const std::vector<Layer>& layers, int size, const Stream& stream);

  int size() const { return size_; }    ///< C
  int terms() const { return terms_; }  ///< P; 0 without a context

  /// `parameters` of the block, on the device.
  void set_parameters(const float* parameters, const Stream& stream);

  /// terms (B, P) ← M c.
  void enter(const ContextRows& rows, float* terms, const Stream& stream) const;

  /// gradient += Σ r̄ cᵀ and context_bar (B, C) ← Mᵀ r̄; both may be null. terms_bar (B, P).
  void pull(const ContextRows& rows, const float* terms_bar, float* gradient, float* context_bar,
            const Stream& stream) const;

 private:
  /// One of the matrices that M is made of.
  struct Part {
    std::size_t offset;  ///< among the block's parameters
    int first, rows;     ///< of M
  };
  const float* transposed() const { return matrix_.data() + std::size_t(terms_) * size_; }

  const int size_;
  int terms_ = 0;
  std::vector<Part> parts_;
  DeviceArray<float> matrix_;  ///< M (P, C), then Mᵀ (C, P)
};

}  // namespace ffjord::cuda
