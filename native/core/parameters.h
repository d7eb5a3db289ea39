// Where tensors stand in flat buffers, under the reference implementation's names. A layout is
// built of parts: nets, and what else a flow or another model has.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/net_plan.h"

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
  std::vector<Parameter> parameters;  ///< trained or trainable, in one flat buffer
  std::vector<Parameter> buffers;     ///< running statistics, in a flat buffer of their own
  std::vector<SpectralWeight> spectral_weights;
  std::size_t parameter_count = 0;
  std::size_t buffer_count = 0;

  /// Append a tensor and return its offset.
  std::size_t add(std::string name, std::vector<std::size_t> shape, Role role,
                  bool trainable = true);
  std::size_t add_buffer(std::string name, std::vector<std::size_t> shape);
  /// Appends the tensors of a net, `prefix`.layers.0._layer.weight …, and returns its plan with
  /// their places.
  NetPlan add_net(const std::string& prefix, NetPlan net);

  /// The parameter at this offset, where its first element stands.
  const Parameter& parameter_at(std::size_t offset) const;
};

}  // namespace ffjord
