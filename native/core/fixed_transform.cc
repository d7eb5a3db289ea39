#include "core/fixed_transform.h"

#include <cmath>
#include <cstdio>

namespace ffjord {
namespace {

// The open interval that the block maps.
std::string interval_of(const Block& block, std::size_t element) {
  double lower = 0, upper = 1;
  if (const auto* support = std::get_if<Support>(&block)) {
    lower = support->lower[element];
    upper = support->upper[element];
  } else if (const auto* logit = std::get_if<Logit>(&block)) {
    const double beyond = logit->alpha / (1 - 2 * logit->alpha);
    lower -= beyond;
    upper += beyond;
  }
  return "(" + (std::isinf(lower) ? "-∞" : text_of(lower)) + ", " +
         (std::isinf(upper) ? "∞" : text_of(upper)) + ")";
}

}  // namespace

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

std::string reason_outside(const Block& block, std::size_t index, const OutsideElement& outside,
                           bool by_weights) {
  const std::string at = "element " + std::to_string(outside.element);
  const std::string name = std::holds_alternative<Logit>(block) ? "logit" : "support";
  const std::string is = " is " + text_of(outside.value) + ", and blocks[" + std::to_string(index) +
                         "] (" + name + ") maps the interval " +
                         interval_of(block, outside.element);
  return by_weights
             ? "the state's " + at + is + "; put the transform in front of all blocks with weights"
             : at + is + "; drop such rows, or widen the interval";
}

}  // namespace ffjord
