// Linear maps of any geometry in the float64 engine: against PyTorch's convolutions, and whole nets
// of them, with their tangents and gradients, against finite differences. Takes the folder of the
// golden vectors, by default test/golden.
#include <algorithm>
#include <cmath>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "core/initial_values.h"
#include "flow_case.h"
#include "golden_file.h"
#include "reference/activation.h"
#include "reference/linear_map.h"
#include "reference/network.h"

namespace {

using namespace ffjord;
using namespace ffjord::reference;
using checks::Report;

LinearMap map_of(const golden::Content& file) {
  const auto numbers = [&](const std::string& name) {
    return golden::parse(file.metadata.at(name).text).integers();
  };
  const std::vector<int> kernel = numbers("kernel"), x = file.shapes.at("x");
  const Convolution convolution{
      .kernel = {kernel[0], kernel[1]},
      .stride = numbers("stride")[0],
      .padding = numbers("padding")[0],
      .output_padding = numbers("output_padding")[0],
      .transposed = file.metadata.at("layer").text.find("Transpose") != std::string::npos};
  return LinearMap::convolve(convolution, x[1], file.shapes.at("y")[1], {x[2], x[3]});
}

double relative_error(const Vector& ours, const Vector& exact) {
  double error = ours.size() == exact.size() ? 0 : INFINITY, largest = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), exact.size()); ++i) {
    error = std::max(error, std::abs(ours[i] - exact[i]));
    largest = std::max(largest, std::abs(exact[i]));
  }
  return error / largest;
}

// y = h(x) · σ(g(x)) and its pullback, of rows one after the other.
void check_golden_pair(const std::string& path, Report& report) {
  const golden::Content file = golden::read_content(path);
  const LinearMap map = map_of(file);
  const auto tensor = [&](const std::string& name) -> const Vector& {
    return file.tensors.at(name);
  };
  const std::vector<int> shape = file.shapes.at("y"), weights = file.shapes.at("param.h.weight");
  const std::string name = file.metadata.at("name").text;
  report.expect(name + " plane", map.plane_out == Plane{shape[2], shape[3]});
  const std::vector<std::size_t> stored = map.weight_shape();
  report.expect(name + " weights",
                std::equal(stored.begin(), stored.end(), weights.begin(), weights.end(),
                           [](std::size_t a, int b) { return a == std::size_t(b); }));

  const std::size_t in = map.size_in(), out = map.size_out(), plane = map.plane_out.size();
  Vector y(tensor("y").size()), x_bar(tensor("x").size());
  Vector h_weight_bar(map.weight_count()), g_weight_bar(map.weight_count());
  Vector h_bias_bar(map.channels_out), g_bias_bar(map.channels_out);
  for (int row = 0; row < shape[0]; ++row) {
    const View x = View(tensor("x")).subspan(row * in, in);
    const View y_bar = View(tensor("y_bar")).subspan(row * out, out);
    Vector h(out), g(out), h_bar(out), g_bar(out), part(in);
    apply(map, tensor("param.h.weight"), x, h);
    apply(map, tensor("param.g.weight"), x, g);
    for (std::size_t i = 0; i < out; ++i) {
      const std::size_t channel = i / plane;
      h[i] += tensor("param.h.bias")[channel];
      const double gate = sigmoid(g[i] + tensor("param.g.bias")[channel]);
      y[row * out + i] = h[i] * gate;
      h_bar[i] = y_bar[i] * gate;
      g_bar[i] = y_bar[i] * h[i] * gate * (1 - gate);
      h_bias_bar[channel] += h_bar[i];
      g_bias_bar[channel] += g_bar[i];
    }
    const Target rows_bar = Target(x_bar).subspan(row * in, in);
    apply_transpose(map, tensor("param.h.weight"), h_bar, rows_bar);
    apply_transpose(map, tensor("param.g.weight"), g_bar, part);
    add_scaled(1, part, rows_bar);
    add_weight_gradient(map, h_bar, x, h_weight_bar);
    add_weight_gradient(map, g_bar, x, g_weight_bar);
  }
  report.expect(name + " y", relative_error(y, tensor("y")), 1e-12);
  report.expect(name + " x_bar", relative_error(x_bar, tensor("x_bar")), 1e-12);
  report.expect(name + " h.weight", relative_error(h_weight_bar, tensor("grad.h.weight")), 1e-12);
  report.expect(name + " g.weight", relative_error(g_weight_bar, tensor("grad.g.weight")), 1e-12);
  report.expect(name + " h.bias", relative_error(h_bias_bar, tensor("grad.h.bias")), 1e-12);
  report.expect(name + " g.bias", relative_error(g_bias_bar, tensor("grad.g.bias")), 1e-12);
  report.finish("PyTorch " + name);
}

// A net with one tangent, as a function of its weights, its input and t: the sum of a value and a
// tangent that random cotangents weigh.
class Case {
 public:
  Case(const NetPlan& plan, std::uint32_t seed) : generator_(seed) {
    ParameterLayout layout;
    net_ = layout.add_net("net", plan);
    InitialParameters first(layout, seed);
    first.draw(net_);
    parameters_ = first.values();
    for (Vector* column : {&value_, &tangent_}) *column = normals(net_.size_in());
    for (Vector* bar : {&value_bar_, &tangent_bar_}) *bar = normals(net_.size_out());
    // What starts at zero, a hypernet's weights, moves too.
    add_scaled(0.05, normals(parameters_.size()), parameters_);
  }

  void check(const std::string& name, Report& report) {
    const Network network(net_, parameters_);
    const auto at = network.at(kTime, {});
    RowTape tape;
    network.push(at, {value_, tangent_}, tape, LayerRange{0, network.depth()});
    std::vector<LayerAt> at_bars;
    for (const LayerAt& layer : at) at_bars.push_back(layer.zeros());
    const Columns input_bars = network.pull(at, tape, {value_bar_, tangent_bar_}, {}, at_bars,
                                            LayerRange{0, network.depth()});
    Vector gradients(parameters_.size());
    const double t_bar = network.pullback(kTime, {}, at_bars, gradients, {});

    expect(
        name + " t", t_bar, [](Case& moved, double step) { moved.time_ += step; }, report);
    expect_along(name + " parameters", gradients, &Case::parameters_, report);
    expect_along(name + " value", input_bars[0], &Case::value_, report);
    expect_along(name + " tangent", input_bars[1], &Case::tangent_, report);

    // The tangent is the derivative of the values along it.
    Vector difference(net_.size_out());
    for (double sign : {1.0, -1.0}) {
      Case moved(*this);
      add_scaled(sign * kStep, tangent_, moved.value_);
      add_scaled(sign / (2 * kStep), moved.output()[0], difference);
    }
    report.expect(name + " J ε", relative_error(tape.output[1], difference), 1e-7);
  }

 private:
  static constexpr double kTime = 0.3, kStep = 1e-5;

  Vector normals(std::size_t count) { return checks::normals(count, generator_); }

  Columns output() const {
    const Network network(net_, parameters_);
    RowTape tape;
    network.push(network.at(time_, {}), {value_, tangent_}, tape, LayerRange{0, network.depth()});
    return tape.output;
  }
  double objective() const {
    const Columns columns = output();
    return dot(columns[0], value_bar_) + dot(columns[1], tangent_bar_);
  }

  template <class Move>
  void expect(const std::string& name, double derivative, Move move, Report& report) const {
    Case up(*this), down(*this);
    move(up, kStep);
    move(down, -kStep);
    const double difference = (up.objective() - down.objective()) / (2 * kStep);
    report.expect(name, std::abs(difference - derivative) / (1 + std::abs(difference)), 1e-7);
  }
  void expect_along(const std::string& name, const Vector& gradient, Vector Case::*numbers,
                    Report& report) {
    const Vector direction = normals((this->*numbers).size());
    expect(
        name, dot(gradient, direction),
        [&](Case& moved, double step) { add_scaled(step, direction, moved.*numbers); }, report);
  }

  std::mt19937_64 generator_;
  NetPlan net_;
  Vector parameters_, value_, tangent_, value_bar_, tangent_bar_;
  double time_ = kTime;
};

// Kernels, strides and paddings of all kinds, down to a small plane and up again.
std::vector<LinearMap> odd_maps() {
  const Convolution down{.kernel = {3, 5}, .stride = 2, .padding = 2},
      tiny{.kernel = {3, 2}, .stride = 3, .padding = 1},
      up{.kernel = {3, 2}, .stride = 3, .padding = 1, .output_padding = 2, .transposed = true},
      wide{.kernel = {5, 4}, .stride = 2, .padding = 1, .output_padding = 1, .transposed = true};
  std::vector<LinearMap> maps;
  int channels = 2;
  Plane plane{7, 6};
  for (const auto& [convolution, out] :
       {std::pair(down, 3), std::pair(tiny, 4), std::pair(up, 3), std::pair(wide, 2)}) {
    maps.push_back(LinearMap::convolve(convolution, channels, out, plane));
    channels = out;
    plane = maps.back().plane_out;
  }
  return maps;
}

void check_nets(Report& report) {
  const std::vector<LinearMap> maps = odd_maps();
  report.expect("small plane", maps[1].plane_out == Plane{2, 2});
  report.expect("large plane",
                maps[2].plane_out == Plane{6, 5} && maps[3].plane_out == Plane{14, 11});
  for (const LayerKindRow& row : kLayerKinds)
    Case(plan_net(row.kind, Activation::Softplus, maps), 11).check(std::string(row.name), report);
  report.finish("nets of all kinds, finite differences");

  const LinearMap encoder = maps[0], whole = LinearMap::convolve({.kernel = encoder.plane_out}, 3,
                                                                 5, encoder.plane_out);
  Case(plan_net(LayerKind::Ignore, Activation::Tanh, {encoder, whole, LinearMap::dense(5, 3)}), 12)
      .check("convolutions, then dense", report);
  report.finish("a net from a plane to a vector");
}

}  // namespace

int main(int argc, char** argv) {
  Report report;
  const std::string folder = std::string(argc > 1 ? argv[1] : "test/golden") + "/convolutions";
  try {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    report.expect("files", !paths.empty());
    for (const auto& path : paths) check_golden_pair(path.string(), report);
    check_nets(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  return report.failures() > 0;
}
