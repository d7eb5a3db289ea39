#include "core/posterior_plan.h"

#include "core/errors.h"

namespace ffjord {

std::string name_of(const PosteriorKind&) { return "none"; }

PosteriorPlan add_posterior(ParameterLayout&, PosteriorPlan plan) {
  require(plan.latent > 0 && plan.condition > 0,
          "a posterior needs a latent size and a condition of at least 1");
  return plan;
}

void draw_first_weights(InitialParameters&, const PosteriorPlan&) {}

}  // namespace ffjord
