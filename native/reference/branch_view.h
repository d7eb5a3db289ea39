// A branch of a net as a row sees it: its layers, its view of the row, and the probes of its
// lattice.
#pragma once

#include <cstdint>
#include <vector>

#include "core/lattice_probes.h"
#include "core/squeezed_view.h"
#include "reference/network.h"

namespace ffjord::reference {

class BranchView {
 public:
  BranchView(const NetPlan& net, const Branch& branch)
      : range{branch.first, branch.end}, lattice_(probe_lattice(net, branch)) {
    const LinearMap& first = net.layers.front().map;
    places_ = squeezed_places(first.channels_in, first.plane_in, branch.squeezes);
  }

  const LayerRange range;

  /// The first `count` columns of a row, in the branch's order.
  Columns of(const Columns& columns, std::size_t count) const {
    Columns view;
    for (std::size_t k = 0; k < count; ++k) view.push_back(of(columns[k]));
    return view;
  }
  Vector of(View row) const {
    Vector view(places_.size());
    for (std::size_t i = 0; i < view.size(); ++i) view[i] = row[places_[i]];
    return view;
  }
  /// Adds a column of the view to one of the row.
  void add(const Vector& view, Target row) const {
    for (std::size_t i = 0; i < view.size(); ++i) row[places_[i]] += view[i];
  }

  /// Appends `scale` times the lattice's probes.
  void append_probes(double scale, Columns& columns) const {
    for (std::size_t k = 0; k < lattice_.count(); ++k) {
      columns.emplace_back(places_.size());
      lattice_.for_each_one(k, [&](std::size_t i) { columns.back()[i] = scale; });
    }
  }
  /// Σ_k p_k·J p_k, of the columns J p_k that stand behind the value.
  double divergence(const Columns& output) const {
    double sum = 0;
    for (std::size_t k = 0; k < lattice_.count(); ++k)
      lattice_.for_each_one(k, [&](std::size_t i) { sum += output[1 + k][i]; });
    return sum;
  }

 private:
  ProbeLattice lattice_;
  std::vector<std::uint32_t> places_;
};

}  // namespace ffjord::reference
