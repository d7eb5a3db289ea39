// Which flow a posterior is, as plain data: kinds, sizes, and where its weights stand once a layout
// has placed it.
#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "core/initial_values.h"
#include "core/parameters.h"

namespace ffjord {

/// zk = z0: the posterior stays the encoder's Gaussian.
struct NoFlow {};

/// A kind says how many flows follow each other and what each is made of.
using PosteriorKind = std::variant<NoFlow>;

struct PosteriorPlan {
  PosteriorKind kind = NoFlow();
  std::size_t latent = 0;     ///< L
  std::size_t condition = 0;  ///< H, numbers of the encoder's output
};

/// The spelling of a kind in files and in JavaScript.
std::string name_of(const PosteriorKind& kind);

/// Appends the weights of a posterior to a layout, under the published names, and returns its plan
/// with their places. Throws Error(InvalidArgument) for sizes that the kind cannot have.
PosteriorPlan add_posterior(ParameterLayout& layout, PosteriorPlan plan);

void draw_first_weights(InitialParameters& first, const PosteriorPlan& plan);

}  // namespace ffjord
