// Flat buffers belong to a layout and a device: without a flow, an optimizer moves the weights that
// stand in one layout, as a flow's optimizer moves those of a flow.
#include "core/host_device.h"
#include "core/parameter_buffers.h"
#include "reference/reference_engine.h"
#include "test/native/flow_case.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

FlowDescription described() {
  Cnf cnf;
  cnf.net.hidden = {5, 4};
  return {{2}, {cnf, BatchNorm{}, cnf}};
}

Vector values_of(const ParameterBuffers<double>& buffers, Buffer buffer, std::size_t count) {
  Vector values(count);
  buffers.read(buffer, values);
  return values;
}

void check_step(Report& report) {
  const FlowDescription description = described();
  const auto flow = reference::engine().create(description, 3, {});
  const auto& layout = flow->layout();
  const std::size_t count = layout.parameter_count;
  Vector weights(count);
  flow->read(Buffer::Parameters, weights);
  std::mt19937_64 generator(1);
  const Vector gradients = checks::normals(count, generator);

  HostDevice<double> device({});
  ParameterBuffers<double> buffers(layout, device, weights, {});
  report.expect("weights as given", values_of(buffers, Buffer::Parameters, count) == weights);
  report.expect(
      "statistics of zeros",
      values_of(buffers, Buffer::Statistics, layout.buffer_count) == Vector(layout.buffer_count));
  flow->write(Buffer::Gradients, gradients);
  buffers.write(Buffer::Gradients, gradients);
  for (long step = 1; step <= 3; ++step) {
    const OptimizerOptions options{.clip_norm = 1, .average_decay = 0.9, .step = step};
    report.expect("norm", flow->step(options)() == buffers.step(options)());
  }
  for (Buffer buffer :
       {Buffer::Parameters, Buffer::FirstMoment, Buffer::SecondMoment, Buffer::Average}) {
    Vector expected(count);
    flow->read(buffer, expected);
    report.expect("a flow's numbers", values_of(buffers, buffer, count) == expected);
  }
  report.expect("moved", values_of(buffers, Buffer::Parameters, count) != weights);
}

/// Two layouts on one device do not know of each other.
void check_two_layouts(Report& report) {
  const auto large = reference::engine().create(described(), 3, {});
  const auto small = reference::engine().create({{3}, {BatchNorm{}}}, 3, {});
  HostDevice<double> device({});
  for (const Flow* flow : {large.get(), small.get()}) {
    const auto& layout = flow->layout();
    ParameterBuffers<double> buffers(layout, device, {}, {});
    const Vector ones(layout.parameter_count, 1.0);
    buffers.write(Buffer::Gradients, ones);
    double trained = 0;
    for (const Parameter& parameter : layout.parameters)
      trained += parameter.trainable ? double(parameter.size) : 0;
    report.expect("norm over its own weights", std::abs(buffers.step({})() - std::sqrt(trained)),
                  1e-12);
  }
}

}  // namespace

int main() {
  Report report;
  check_step(report);
  check_two_layouts(report);
  report.finish("buffers of a layout without a flow");
  return report.failures() > 0;
}
