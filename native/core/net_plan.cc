#include "core/net_plan.h"

#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

struct ActivationRow {
  Activation kind;
  std::string_view name;
};

constexpr ActivationRow kActivations[] = {
    {Activation::Tanh, "tanh"},         {Activation::Softplus, "softplus"},
    {Activation::Elu, "elu"},           {Activation::Relu, "relu"},
    {Activation::Swish, "swish"},       {Activation::Square, "square"},
    {Activation::Identity, "identity"},
};

template <class Table, class Kind>
const auto& find_row(const Table& table, Kind kind) {
  for (const auto& row : table)
    if (row.kind == kind) return row;
  throw Error(ErrorCode::InvalidArgument, "a kind that no table knows");
}

template <class Table>
auto parse(const Table& table, std::string_view name, const std::string& what) {
  std::string known;
  for (const auto& row : table) {
    if (row.name == name) return row.kind;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(ErrorCode::InvalidArgument,
              "unknown " + what + " '" + std::string(name) + "'; known: " + known);
}

}  // namespace

NetPlan plan_net(LayerKind kind, Activation activation, const std::vector<LinearMap>& maps) {
  NetPlan net;
  for (const LinearMap& map : maps) {
    LayerPlan layer{.kind = kind, .form = row_of(kind).form, .map = map};
    if (net.layers.size() + 1 < maps.size()) layer.activation = activation;
    net.layers.push_back(layer);
  }
  net.branches = {{0, net.layers.size(), 0}};
  return net;
}

void add_branches(NetPlan& net, const NetPlan& more) {
  const std::size_t before = net.layers.size();
  net.layers.insert(net.layers.end(), more.layers.begin(), more.layers.end());
  for (const Branch& branch : more.branches)
    net.branches.push_back({before + branch.first, before + branch.end, branch.squeezes});
}

const LayerKindRow& row_of(LayerKind kind) { return find_row(kLayerKinds, kind); }

std::string_view name_of(LayerKind kind) { return row_of(kind).name; }
std::string_view name_of(Activation activation) { return find_row(kActivations, activation).name; }
LayerKind parse_layer(std::string_view name) { return parse(kLayerKinds, name, "layer"); }
Activation parse_activation(std::string_view name) {
  return parse(kActivations, name, "activation");
}

}  // namespace ffjord
