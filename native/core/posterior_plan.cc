#include "core/posterior_plan.h"

#include <cmath>

#include "core/errors.h"

namespace ffjord {
namespace {

/// Adds the tensors of one kind.
class PosteriorTensors {
 public:
  PosteriorTensors(ParameterLayout& layout, PosteriorPlan& plan) : layout_(layout), plan_(plan) {}

  void operator()(const NoFlow&) const {}

  void operator()(const Planar& kind) const {
    require_flows(kind.flows);
    const std::size_t flows = kind.flows;
    add_map("amor_u", flows * plan_.latent);
    add_map("amor_w", flows * plan_.latent);
    add_map("amor_b", flows);
  }

  void operator()(const InverseAutoregressive& kind) const {
    require_flows(kind.flows);
    require(kind.width > 0 && kind.width % plan_.latent == 0,
            "the width of an inverse autoregressive flow must be a multiple of the latent size, " +
                std::to_string(plan_.latent) + ", as every element has as many units");
    const std::size_t width = kind.width;
    add_map("h_context", width);
    for (int k = 0; k < kind.flows; ++k) {
      add_shared({plan_.latent, width});
      add_shared({width, width});
      add_shared({width, plan_.latent});
      add_shared({width, plan_.latent});
    }
  }

  void operator()(const Sylvester& kind) const {
    require_flows(kind.flows);
    const std::size_t flows = kind.flows, size = kind.columns(plan_.latent);
    const bool orthogonal = kind.basis == SylvesterBasis::Orthogonal;
    require(kind.basis == SylvesterBasis::Triangular ||
                (kind.vectors > 0 && (!orthogonal || size <= plan_.latent)),
            "vectors must be at least 1" +
                (orthogonal ? " and at most the latent size, " + std::to_string(plan_.latent)
                            : std::string()));
    add_map("amor_d", size * size * flows);
    add_map("amor_diag1.0", size * flows);
    add_map("amor_diag2.0", size * flows);
    if (kind.basis != SylvesterBasis::Triangular)
      add_map("amor_q", kind.basis_numbers(plan_.latent) * flows);
    add_map("amor_b", size * flows);
  }

  void operator()(const Continuous& kind) const {
    require(kind.blocks > 0, "a posterior needs at least one block");
    require(kind.amortisation != Amortisation::LowRank || kind.rank > 0,
            "the rank of amortised terms must be at least 1");
    require(!kind.block.train_time && kind.block.net.spectral_norm == 0,
            "the field of a posterior has a fixed end time and no spectral norm");
    const std::vector<int> shape = {static_cast<int>(plan_.latent)};
    const bool amortised = kind.amortisation != Amortisation::None;
    // Sizes that are refused must not be counted first.
    validate({shape, {kind.block}, {}});
    double widths = 2.0 * double(plan_.latent);
    for (int width : kind.block.net.hidden) widths += 2.0 * width;
    require(widths * (kind.rank + 1) < double(1 << 30),
            "a posterior of so many numbers an image has no room; use a lower rank, or narrower "
            "layers");
    const Conditioning context = kind.conditioning(plan_.latent);
    validate({shape, {kind.block}, context});
    const std::string prefix = amortised ? "odefuncs." : "cnf.chain.";
    const std::string suffix = amortised ? ".diffeq" : ".odefunc.diffeq";
    for (int i = 0; i < kind.blocks; ++i) {
      BlockOffsets at;
      at.net = layout_.add_net(prefix + std::to_string(i) + suffix,
                               plan_net(kind.block.net, shape, context));
      plan_.blocks.push_back(std::move(at));
    }
    for (int i = 0; amortised && i < kind.blocks; ++i)
      add_map("q_am." + std::to_string(i), context.size);
  }

 private:
  static void require_flows(int flows) {
    require(flows > 0, "a posterior needs at least one flow, not " + std::to_string(flows));
  }

  void add_map(const std::string& name, std::size_t size) const {
    plan_.maps.push_back(add_feed_forward(
        layout_, plan_dense(name, static_cast<int>(plan_.condition), static_cast<int>(size))));
  }

  /// A masked weight (in, out) and its bias.
  void add_shared(const std::vector<std::size_t>& shape) const {
    for (const bool bias : {false, true}) {
      const std::string name = "flow.param_list." + std::to_string(plan_.tensors.size());
      plan_.tensors.push_back(bias ? layout_.add(name, {shape[1]}, Role::Bias)
                                   : layout_.add(name, shape, Role::Weight));
    }
  }

  ParameterLayout& layout_;
  PosteriorPlan& plan_;
};

}  // namespace

std::string name_of(const PosteriorKind& kind) {
  if (std::holds_alternative<Planar>(kind)) return "planar";
  if (std::holds_alternative<InverseAutoregressive>(kind)) return "iaf";
  if (std::holds_alternative<Sylvester>(kind)) return "sylvester";
  if (const auto* continuous = std::get_if<Continuous>(&kind)) {
    if (continuous->amortisation == Amortisation::Biases) return "cnf_bias";
    return continuous->amortisation == Amortisation::LowRank ? "cnf_rank" : "cnf";
  }
  return "none";
}

Conditioning Continuous::conditioning(std::size_t latent) const {
  if (amortisation == Amortisation::None) return {};
  const int terms = amortisation == Amortisation::LowRank ? rank : 0;
  const int size = amortised_size(block.net, static_cast<int>(latent), terms);
  return {.size = size, .gates = false, .amortised = true, .rank = terms};
}

PosteriorPlan add_posterior(ParameterLayout& layout, PosteriorPlan plan) {
  require(plan.latent > 0 && plan.condition > 0,
          "a posterior needs a latent size and a condition of at least 1");
  plan.maps.clear();
  plan.tensors.clear();
  plan.blocks.clear();
  const PosteriorKind kind = plan.kind;
  std::visit(PosteriorTensors(layout, plan), kind);
  return plan;
}

void draw_first_weights(InitialParameters& first, const PosteriorPlan& plan) {
  for (const FeedForwardPlan& map : plan.maps) draw_first_weights(first, map);
  for (const BlockOffsets& block : plan.blocks) first.draw(block.net);
  const auto* masked = std::get_if<InverseAutoregressive>(&plan.kind);
  // Weight and bias in turn; biases are zero. Two maps lead to the units, and two to the elements.
  for (std::size_t i = 0; masked && i < plan.tensors.size(); i += 2) {
    const bool to_units = i / 2 % 4 < 2;
    const double outputs = to_units ? double(masked->width) : double(plan.latent);
    first.draw(plan.tensors[i], NoiseLaw::Gaussian, std::sqrt(2 / outputs));
  }
}

}  // namespace ffjord
