// Posteriors of a variational autoencoder that follow in closed form, in float64 and float32:
// values and gradients against the golden vectors of test/golden/posteriors, gradients against
// finite differences, and log |det| against that of a numerical Jacobian. Takes the folder of the
// vectors.
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "core/host_device.h"
#include "core/tableau.h"
#include "cpu/cpu_block.h"
#include "flow_case.h"
#include "golden_file.h"
#include "plain_layer.h"
#include "reference/reference_block.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;

template <class Real>
struct Values {
  std::vector<Real> zk, log_det;
};
template <class Real>
struct Bars {
  std::vector<Real> z0, h, gradients;
};

std::unique_ptr<FlowBlock<double>> make_continuous(const BlockPlace<double>& place) {
  return std::make_unique<reference::ReferenceBlock>(place);
}
std::unique_ptr<FlowBlock<float>> make_continuous(const BlockPlace<float>& place) {
  return std::make_unique<cpu::CpuBlock>(place, cpu::instruction_sets().front(), 2);
}

/// A posterior with its weights on the host.
template <class Real>
class Case {
 public:
  Case(PosteriorKind kind, std::size_t latent, std::size_t condition)
      : plan(add_posterior(layout, {kind, latent, condition, {}, {}, {}})),
        parameters(layout.parameter_count),
        device_({[](const BlockPlace<Real>& place) { return make_continuous(place); },
                 checks::make_plain_layer<Real>}) {
    settings_.solver.tableau = &tableau("dopri5");
    settings_.trace.mode = TraceMode::Exact;
    settings_.solver.rtol = settings_.solver.atol = sizeof(Real) == sizeof(float) ? 1e-6 : 1e-10;
  }

  std::vector<Real>& tensor(const std::string& name, const Vector& values) {
    for (const Parameter& one : layout.parameters)
      if (one.name == name) {
        if (one.size != values.size()) throw std::runtime_error(name + " has another size");
        std::copy(values.begin(), values.end(), parameters.begin() + one.offset);
        return parameters;
      }
    throw std::runtime_error("there is no " + name);
  }

  /// Steps of equal size in place of adaptive ones, so that differences see no other steps.
  void fix_steps() {
    settings_.solver.tableau = &tableau("rk4");
    settings_.solver.steps = 32;
  }

  Values<Real> solve(const Vector& z0, const Vector& h, std::size_t copies = 1) {
    start(z0, h);
    Values<Real> values{std::vector<Real>(z0.size()), std::vector<Real>(z0.size() / plan.latent)};
    tape_ = posterior_->solve({values.log_det.size(), copies, z0_, h_, values.zk, values.log_det},
                              {noise_, settings_, copies == 1}, statistics_);
    return values;
  }

  /// Of the last solve.
  Bars<Real> pull(Values<Real> values, const Vector& zk_bar, const Vector& log_det_bar) {
    const std::vector<Real> zk(zk_bar.begin(), zk_bar.end());
    const std::vector<Real> log_det(log_det_bar.begin(), log_det_bar.end());
    Bars<Real> bars{std::vector<Real>(zk.size()), std::vector<Real>(h_.size()),
                    std::vector<Real>(parameters.size())};
    posterior_->pullback(*tape_, {log_det.size(), 1, z0_, h_, values.zk, values.log_det},
                         {zk, log_det, bars.z0, bars.h, bars.gradients}, statistics_);
    return bars;
  }

  ParameterLayout layout;
  const PosteriorPlan plan;
  std::vector<Real> parameters;

 private:
  void start(const Vector& z0, const Vector& h) {
    z0_.assign(z0.begin(), z0.end());
    h_.assign(h.begin(), h.end());
    posterior_ = device_.make_posterior({plan, parameters, device_});
  }

  HostDevice<Real> device_;
  std::unique_ptr<Posterior<Real>> posterior_;
  std::unique_ptr<PosteriorTape> tape_;
  std::vector<Real> z0_, h_;
  SolveStatistics statistics_;
  Noise noise_;
  Settings settings_;
};

template <class Real>
Vector widened(const std::vector<Real>& values) {
  return Vector(values.begin(), values.end());
}

PosteriorKind kind_of(const golden::Json& metadata) {
  const auto number = [&](const std::string& name) { return std::stoi(metadata.at(name).text); };
  const std::string kind = metadata.at("posterior").text;
  if (kind == "planar") return Planar{number("flows")};
  if (kind == "iaf") return InverseAutoregressive{number("flows"), number("width")};
  if (kind.starts_with("cnf")) {
    Continuous continuous;
    continuous.block.net.hidden = golden::parse(metadata.at("dims").text).integers();
    continuous.block.net.layer = parse_layer(metadata.at("layer").text);
    continuous.block.net.activation = parse_activation(metadata.at("activation").text);
    continuous.block.time = std::stod(metadata.at("time").text);
    continuous.blocks = number("blocks");
    if (kind == "cnf_bias") continuous.amortisation = Amortisation::Biases;
    if (kind == "cnf_rank") continuous.amortisation = Amortisation::LowRank;
    if (kind == "cnf_rank") continuous.rank = number("rank");
    return continuous;
  }
  if (kind == "sylvester") {
    const std::string basis = metadata.at("kind").text;
    if (basis == "orthogonal")
      return Sylvester{SylvesterBasis::Orthogonal, number("flows"), number("vectors")};
    if (basis == "householder")
      return Sylvester{SylvesterBasis::Householder, number("flows"), number("reflections")};
    return Sylvester{SylvesterBasis::Triangular, number("flows")};
  }
  return NoFlow{};
}

/// Pulls the vectors' loss back: the mean over rows of Σ ½ zk² − log_det − Σ ½ (log var + eps²).
/// What reaches h through mean and var is added here.
template <class Real>
void check_golden(const std::filesystem::path& path, double value_tolerance,
                  double gradient_tolerance, Report& report) {
  const golden::Content file = golden::read_content(path.string());
  const auto tensor = [&](const std::string& name) { return file.tensors.at(name); };
  const std::size_t latent = file.shapes.at("z0")[1], condition = file.shapes.at("h")[1];
  const Vector h = tensor("h"), z0 = tensor("z0"), eps = tensor("eps"), var = tensor("var");
  const double rows = file.shapes.at("z0")[0];
  Case<Real> one(kind_of(file.metadata), latent, condition);
  for (const Parameter& parameter : one.layout.parameters)
    one.tensor(parameter.name, tensor("param." + parameter.name));

  const Values<Real> values = one.solve(z0, h);
  const auto expect = [&](const std::string& what, const Vector& actual, const Vector& expected,
                          double tolerance) {
    report.expect(what, checks::relative_error(actual, expected, 1e-30), tolerance);
  };
  expect("zk", widened(values.zk), tensor("zk"), value_tolerance);
  expect("log_det", widened(values.log_det), tensor("log_det"), value_tolerance);

  Vector zk_bar = widened(values.zk);
  for (double& bar : zk_bar) bar /= rows;
  const Bars<Real> bars = one.pull(values, zk_bar, Vector(values.log_det.size(), -1 / rows));
  Vector h_bar = widened(bars.h);
  const Vector mean_weight = tensor("param.q_z_mean.weight");
  const Vector var_weight = tensor("param.q_z_var.0.weight");
  for (std::size_t i = 0; i < z0.size(); ++i) {
    const double spread = std::sqrt(var[i]), slope = 1 - std::exp(-var[i]);  // of softplus
    const double var_bar = bars.z0[i] * eps[i] / (2 * spread) - 0.5 / var[i] / rows;
    const std::size_t row = i / latent * condition, unit = i % latent * condition;
    for (std::size_t k = 0; k < condition; ++k)
      h_bar[row + k] += bars.z0[i] * mean_weight[unit + k] + slope * var_bar * var_weight[unit + k];
  }
  expect("grad_h", h_bar, tensor("grad_h"), gradient_tolerance);
  for (const Parameter& parameter : one.layout.parameters) {
    const auto first = bars.gradients.begin() + parameter.offset;
    expect("grad." + parameter.name, Vector(first, first + parameter.size),
           tensor("grad." + parameter.name), gradient_tolerance);
  }
}

double log_determinant(std::vector<Vector> matrix) {
  double sum = 0;
  for (std::size_t k = 0; k < matrix.size(); ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < matrix.size(); ++i)
      if (std::abs(matrix[i][k]) > std::abs(matrix[pivot][k])) pivot = i;
    std::swap(matrix[k], matrix[pivot]);
    sum += std::log(std::abs(matrix[k][k]));
    for (std::size_t i = k + 1; i < matrix.size(); ++i) {
      const double factor = matrix[i][k] / matrix[k][k];
      for (std::size_t j = k; j < matrix.size(); ++j) matrix[i][j] -= factor * matrix[k][j];
    }
  }
  return sum;
}

/// A field with two hidden layers, of which the first is wider than the second.
Continuous field_of(Amortisation amortisation, int rank, LayerKind layer = LayerKind::Concat) {
  Continuous field{{}, 2, amortisation, rank};
  field.block.time = 0.4;
  field.block.net.hidden = {5, 3};
  field.block.net.layer = layer;
  field.block.net.activation = Activation::Softplus;
  return field;
}

/// Two rows, random weights: the Jacobian of zk by central differences, the gradients of a random
/// linear function of zk and log_det along random directions, and copies of an image.
void check_differences(const PosteriorKind& kind, std::size_t latent, Report& report) {
  constexpr std::size_t kRows = 2, kCondition = 3;
  constexpr double kStep = 1e-5;
  std::mt19937_64 generator(latent);
  Case<double> one(kind, latent, kCondition);
  one.fix_steps();
  // A field of large weights needs more steps than these for its divergence to be that of the map.
  const double scale = std::holds_alternative<Continuous>(kind) ? 0.25 : 0.7;
  one.parameters = checks::normals(one.parameters.size(), generator, scale);
  const Vector z0 = checks::normals(kRows * latent, generator);
  const Vector h = checks::normals(kRows * kCondition, generator);
  const Values<double> values = one.solve(z0, h);

  for (std::size_t row = 0; row < kRows; ++row) {
    std::vector<Vector> jacobian(latent, Vector(latent));
    for (std::size_t j = 0; j < latent; ++j) {
      const auto moved = [&](double step) {
        Vector z = z0;
        z[row * latent + j] += step;
        return one.solve(z, h).zk;
      };
      const Vector above = moved(kStep), below = moved(-kStep);
      for (std::size_t i = 0; i < latent; ++i)
        jacobian[i][j] = (above[row * latent + i] - below[row * latent + i]) / (2 * kStep);
    }
    report.expect("log |det| of the numerical Jacobian",
                  std::abs(log_determinant(jacobian) - values.log_det[row]), 1e-6);
  }

  const Vector zk_bar = checks::normals(z0.size(), generator);
  const Vector log_det_bar = checks::normals(kRows, generator);
  one.solve(z0, h);
  const Bars<double> bars = one.pull(values, zk_bar, log_det_bar);
  const Vector weights = one.parameters;
  const auto loss = [&](const Vector& z, const Vector& condition) {
    const Values<double> at = one.solve(z, condition);
    return checks::dot(zk_bar, at.zk) + checks::dot(log_det_bar, at.log_det);
  };
  const auto expect_slope = [&](const std::string& what, const Vector& bar,
                                const auto& moved_loss) {
    for (int direction = 0; direction < 3; ++direction) {
      const Vector along = checks::normals(bar.size(), generator);
      const double slope = (moved_loss(along, kStep) - moved_loss(along, -kStep)) / (2 * kStep);
      const double expected = checks::dot(bar, along);
      report.expect(what, std::abs(slope - expected), 1e-6 * (1 + std::abs(expected)));
    }
  };
  const auto moved = [](Vector values, const Vector& along, double step) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * along[i];
    return values;
  };
  expect_slope("slope along z0", bars.z0,
               [&](const Vector& along, double step) { return loss(moved(z0, along, step), h); });
  expect_slope("slope along h", bars.h,
               [&](const Vector& along, double step) { return loss(z0, moved(h, along, step)); });
  expect_slope("slope along the weights", bars.gradients, [&](const Vector& along, double step) {
    one.parameters = moved(weights, along, step);
    const double value = loss(z0, h);
    one.parameters = weights;
    return value;
  });

  const Vector first_h(h.begin(), h.begin() + kCondition);
  const Values<double> copies = one.solve(z0, first_h, kRows);
  const Vector first_z(z0.begin() + latent, z0.end());
  const Values<double> alone = one.solve(first_z, first_h);
  // A field has other sums for copies than for rows of their own.
  const Vector second_copy(copies.zk.begin() + latent, copies.zk.end());
  report.expect("copies of an image: zk", checks::relative_error(second_copy, alone.zk, 1), 1e-13);
  report.expect("copies of an image: log |det|", std::abs(copies.log_det[1] - alone.log_det[0]),
                1e-13);
}

void check_refusals(Report& report) {
  const auto refuses = [&](const PosteriorKind& kind, const std::string& text) {
    const std::string error = checks::error_of([&] { Case<double>(kind, 3, 2); });
    report.expect("refusal: " + text, error.find(text) != std::string::npos);
  };
  refuses(Planar{0}, "at least one flow");
  refuses(InverseAutoregressive{2, 7}, "a multiple of the latent size, 3");
  refuses(Sylvester{SylvesterBasis::Orthogonal, 1, 4}, "at most the latent size, 3");
  refuses(Sylvester{SylvesterBasis::Householder, 1, 0}, "at least 1");
  refuses(field_of(Amortisation::LowRank, 0), "rank");
  refuses(field_of(Amortisation::Biases, 0, LayerKind::ConcatSquash), "use layer 'concat'");
}

}  // namespace

int main(int argc, char** argv) try {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "test/golden/posteriors";
  Report report;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    ++files;
    check_golden<double>(entry.path(), name.starts_with("cnf") ? 1e-7 : 1e-8, 1e-6, report);
    report.finish(name + ", float64");
    check_golden<float>(entry.path(), 1e-4, 1e-3, report);
    report.finish(name + ", float32");
  }
  report.expect("golden files", files == 9);

  for (const int flows : {1, 3})
    for (const std::size_t latent : {1, 2, 5}) {
      const int size = static_cast<int>(latent);
      check_differences(NoFlow{}, latent, report);
      check_differences(Planar{flows}, latent, report);
      check_differences(InverseAutoregressive{flows, 2 * size}, latent, report);
      check_differences(Sylvester{SylvesterBasis::Orthogonal, flows, (size + 1) / 2}, latent,
                        report);
      check_differences(Sylvester{SylvesterBasis::Householder, flows, 2}, latent, report);
      check_differences(Sylvester{SylvesterBasis::Triangular, flows}, latent, report);
      check_differences(field_of(Amortisation::None, 0), latent, report);
      check_differences(field_of(Amortisation::Biases, 0), latent, report);
      check_differences(field_of(Amortisation::LowRank, flows), latent, report);
    }
  report.finish("differences");
  check_refusals(report);
  report.finish("refusals");
  return report.failures() > 0;
} catch (const std::exception& error) {
  std::printf("error: %s\n", error.what());
  return 1;
}
