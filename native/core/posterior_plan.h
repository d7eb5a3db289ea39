// Which flow a posterior is, as plain data: kinds, sizes, and where its weights stand once a layout
// has placed it.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "core/feed_forward_plan.h"
#include "core/flow_layout.h"

namespace ffjord {

/// zk = z0: the posterior stays the encoder's Gaussian.
struct NoFlow {};

/// core/planar_flow.h
struct Planar {
  int flows = 4;  ///< K
};

/// core/inverse_autoregressive_flow.h
struct InverseAutoregressive {
  int flows = 4;
  int width = 320;  ///< W, a multiple of L
};

/// Where the Q of a Sylvester flow is from: an orthogonalised matrix, reflections, or the identity
/// and the reversal in turn.
enum class SylvesterBasis { Orthogonal, Householder, Triangular };

/// core/sylvester_flow.h
struct Sylvester {
  SylvesterBasis basis = SylvesterBasis::Triangular;
  int flows = 4;
  int vectors = 8;  ///< orthogonal: M; Householder: reflections a flow

  /// M
  std::size_t columns(std::size_t latent) const {
    return basis == SylvesterBasis::Orthogonal ? vectors : latent;
  }
  /// Numbers that Q of one flow is made of.
  std::size_t basis_numbers(std::size_t latent) const {
    return basis == SylvesterBasis::Triangular ? 0 : vectors * latent;
  }
};

/// What an encoder's numbers of an image add to the layers of a field: nothing, β to their biases,
/// or low-rank terms (x U) V + β.
enum class Amortisation { None, Biases, LowRank };

/// core/continuous_posterior.h
struct Continuous {
  Cnf block = {};  ///< T is fixed
  int blocks = 1;  ///< of weights, and of numbers, of their own
  Amortisation amortisation = Amortisation::None;
  int rank = 0;  ///< of low-rank terms

  Conditioning conditioning(std::size_t latent) const;
};

/// A kind says how many flows follow each other and what each is made of.
using PosteriorKind = std::variant<NoFlow, Planar, InverseAutoregressive, Sylvester, Continuous>;

struct PosteriorPlan {
  PosteriorKind kind = NoFlow();
  std::size_t latent = 0;     ///< L
  std::size_t condition = 0;  ///< H, numbers of the encoder's output
  // Once a layout has placed it:
  /// Dense layers that make numbers of an image out of h; these stand in a row in this order.
  std::vector<FeedForwardPlan> maps;
  std::vector<std::size_t> tensors;  ///< offsets of weights that all images share
  std::vector<BlockOffsets> blocks;  ///< of the nets of CNF blocks
};

/// The spelling of a kind in files and in JavaScript.
std::string name_of(const PosteriorKind& kind);

/// Appends the weights of a posterior to a layout, under the published names, and returns its plan
/// with their places. Throws Error(InvalidArgument) for sizes that the kind cannot have.
PosteriorPlan add_posterior(ParameterLayout& layout, PosteriorPlan plan);

/// Those of the maps as PyTorch draws them, masked ones from N(0, 2 / outputs), as the published
/// program.
void draw_first_weights(InitialParameters& first, const PosteriorPlan& plan);

}  // namespace ffjord
