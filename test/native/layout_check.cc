// A parameter layout built of parts: a feed-forward net and a flow share one flat buffer.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/flow_layout.h"
#include "core/initial_values.h"
#include "flow_case.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

FlowDescription flow_of(int dimension) {
  Cnf cnf;
  cnf.train_time = true;
  cnf.net.hidden = {6};
  cnf.net.layer = LayerKind::ConcatSquash;
  cnf.net.activation = Activation::Swish;
  cnf.net.spectral_norm = 1;
  return {{dimension}, {cnf, BatchNorm{}, cnf}, {4, true}};
}

NetPlan encoder_of(int inputs, int latent) {
  const Convolution halves{.kernel = {5, 5}, .stride = 2, .padding = 2, .output_padding = 0};
  const LinearMap first = LinearMap::convolve(halves, 1, 3, {inputs, inputs});
  const LinearMap whole = LinearMap::convolve({.kernel = first.plane_out}, 3, 7, first.plane_out);
  return plan_net(LayerKind::Ignore, Activation::Tanh, {first, whole, LinearMap::dense(7, latent)});
}

void check_places(const ParameterLayout& layout, Report& report) {
  std::set<std::string> names;
  for (const auto* list : {&layout.parameters, &layout.buffers}) {
    std::size_t next = 0;
    for (const Parameter& tensor : *list) {
      report.expect(tensor.name + " follows", tensor.offset == next);
      next += tensor.size;
      report.expect(tensor.name + " is new", names.insert(tensor.name).second);
    }
    report.expect("count", next == (list == &layout.parameters ? layout.parameter_count
                                                               : layout.buffer_count));
  }
}

void check_parts(Report& report) {
  const FlowDescription flow = flow_of(3);
  ParameterLayout layout;
  const NetPlan encoder = layout.add_net("encoder", encoder_of(8, 3));
  const std::size_t encoder_count = layout.parameter_count;
  const std::vector<BlockOffsets> blocks = add_flow(layout, "flow.chain", flow);
  check_places(layout, report);

  report.expect("the encoder's tensors", encoder.tensors.size() == 6);
  report.expect("a filter", layout.parameter_at(encoder.layers[1].offsets.weight).name ==
                                "encoder.layers.1._layer.weight");
  report.expect("its shape", layout.parameter_at(encoder.layers[1].offsets.weight).shape ==
                                 std::vector<std::size_t>{7, 3, 4, 4});
  report.expect("its size", encoder_count == 3 * 25 + 3 + 7 * 48 + 7 + 3 * 7 + 3);

  const FlowLayout alone(flow);
  report.expect("the flow's size",
                layout.parameter_count == encoder_count + alone.parameter_count &&
                    layout.buffer_count == alone.buffer_count);
  report.expect(
      "spectral weights",
      layout.spectral_weights.size() == alone.spectral_weights.size() &&
          layout.spectral_weights[0].weight == encoder_count + alone.spectral_weights[0].weight);
  for (std::size_t i = 0; i < alone.parameters.size(); ++i) {
    const Parameter &here = layout.parameters[6 + i], &there = alone.parameters[i];
    report.expect(there.name, here.name == "flow." + there.name &&
                                  here.offset == encoder_count + there.offset &&
                                  here.shape == there.shape && here.role == there.role);
  }
  for (std::size_t b : {0, 2})
    for (std::size_t l = 0; l < blocks[b].net.layers.size(); ++l)
      report.expect("offsets",
                    blocks[b].net.layers[l].offsets.gate_weight ==
                        encoder_count + alone.blocks[b].net.layers[l].offsets.gate_weight);
  report.finish("a layout of a net and a flow");
}

void check_first_weights(Report& report) {
  const FlowDescription flow = flow_of(3);
  ParameterLayout layout;
  const std::vector<BlockOffsets> blocks = add_flow(layout, "chain", flow);
  const std::size_t flow_count = layout.parameter_count;
  const NetPlan encoder = layout.add_net("encoder", encoder_of(8, 3));

  InitialParameters first(layout, 5);
  first.draw(flow, blocks);
  first.draw(encoder);
  const FlowLayout alone(flow);
  const Vector& values = first.values();
  const Vector of_flow = initial_parameters(flow, alone, 5);
  report.expect("a flow's are those of the flow alone",
                std::equal(of_flow.begin(), of_flow.end(), values.begin()));
  const double bound = 1 / std::sqrt(25.0);
  const auto filter = values.begin() + encoder.layers[0].offsets.weight;
  const double largest = *std::max_element(filter, filter + 75);
  report.expect("a filter's lie within 1/√fan_in", largest <= bound && largest > 0.8 * bound);
  report.expect("all of the net's are drawn",
                std::none_of(values.begin() + flow_count, values.end(),
                             [](double value) { return value == 0; }));
  report.finish("first weights of a net and a flow");
}

}  // namespace

int main() {
  Report report;
  check_parts(report);
  check_first_weights(report);
  return report.failures() > 0;
}
