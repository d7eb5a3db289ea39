// Where each weight of a flow stands in one flat buffer, under the reference implementation's
// names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/flow_description.h"

namespace ffjord {

/// Weight: matrices and filters, which weight decay acts on. Buffer: running statistics, not
/// trained.
enum class Role { Weight, Bias, Gate, EndTime, Scale, Beta, Buffer };

struct Parameter {
  std::string name;                ///< e.g. chain.0.odefunc.diffeq.layers.1._layer.weight
  std::vector<std::size_t> shape;  ///< as PyTorch stores it
  std::size_t offset = 0;          ///< in the flat buffer
  std::size_t size = 0;
  Role role = Role::Weight;
  bool trainable = true;
};

/// Offsets of one layer's tensors in the flat parameter buffer; absent ones are kAbsent.
inline constexpr std::size_t kAbsent = ~std::size_t{0};
struct LayerOffsets {
  std::size_t weight = kAbsent, bias = kAbsent;                // _layer (or _layer0 of blend)
  std::size_t weight1 = kAbsent, bias1 = kAbsent;              // _layer1 of blend
  std::size_t gate_weight = kAbsent, gate_bias = kAbsent;      // _hyper_gate: σ(a t + c)
  std::size_t shift = kAbsent;                                 // _hyper_bias: u t
  std::size_t context = kAbsent;                               // _context: V (out, C), first layer
  std::size_t context_gate = kAbsent;                          // _context_gate: U (out, C)
  std::size_t hyper0_weight = kAbsent, hyper0_bias = kAbsent;  // _hypernet.0: 1 → 8
  std::size_t hyper2_weight = kAbsent, hyper2_bias = kAbsent;  // _hypernet.2: 8 → out·in + out
  std::size_t beta = kAbsent;                                  // swish of the activation after it
};

struct BlockOffsets {
  std::size_t sqrt_end_time = kAbsent;              // cnf: T is its square
  std::vector<LayerOffsets> layers;                 // cnf
  std::size_t log_scale = kAbsent, bias = kAbsent;  // batch norm: w, b (parameters)
  std::size_t running_mean = kAbsent, running_var = kAbsent,
              step = kAbsent;  // batch norm (buffers)
};

/// A weight under spectral normalisation, W (rows, columns), the columns cut into (outer, inner):
/// in memory W is (outer, rows, inner), where outer is 1 but for transposed filters. The reference
/// names the parameter X.weight_orig, and its buffers X.weight (W/σ), X.weight_u and X.weight_v.
struct SpectralWeight {
  std::size_t weight = 0;                   ///< offset among parameters
  std::size_t effective = 0, u = 0, v = 0;  ///< offsets among buffers
  std::size_t rows = 0, outer = 1, inner = 0;
  int iterations = 0;  ///< a step

  std::size_t columns() const { return outer * inner; }
  std::size_t size() const { return rows * columns(); }
};

struct ParameterLayout {
  explicit ParameterLayout(const FlowDescription& flow);

  std::vector<Parameter> parameters;  ///< trained or trainable, in one flat buffer
  std::vector<Parameter> buffers;     ///< running statistics, in a flat buffer of their own
  std::vector<BlockOffsets> blocks;   ///< one a block of the description
  std::vector<SpectralWeight> spectral_weights;
  std::size_t parameter_count = 0;
  std::size_t buffer_count = 0;
};

/// The reference's initialisation, rounded to float32 so that every engine starts from equal
/// weights: PyTorch's U(±1/√fan_in) for weights and biases (a context counts among the inputs),
/// hypernets with weight 0 and bias N(0, 0.01²), batch norm and statistics at the identity, √T for
/// the end time, β = 1.
std::vector<double> initial_parameters(const FlowDescription& flow, const ParameterLayout& layout,
                                       std::uint64_t seed);
std::vector<double> initial_buffers(const FlowDescription& flow, const ParameterLayout& layout);

}  // namespace ffjord
