// Convolutional nets whose products take prepared operands (native/cuda/net/octet_way.h): values
// and every gradient against the reference engine, at images that fill no tile and widths that fill
// no octet, of products over taps and channels, of such whose taps are units, and of few channels.
#include "test/cuda/image_case.h"

namespace {

using namespace checks;

TraceOptions probes(int count) {
  return {TraceMode::Hutchinson, NoiseLaw::Rademacher, count, TraceForm::Tangent};
}

std::vector<ImageCase> cases() {
  const auto threes = [](std::size_t count) { return std::vector<Convolution>(count, kThree); };
  std::vector<ImageCase> cases;
  const auto add = [&](const std::string& name, LayerKind kind, std::vector<int> shape,
                       std::vector<int> hidden, int tangents, std::size_t batch) -> ImageCase& {
    ImageCase one{name, kind};
    one.shape = std::move(shape);
    one.convolutions = threes(hidden.size() + 1);
    one.hidden = std::move(hidden);
    one.trace = probes(tangents);
    one.activation = Activation::Softplus;
    one.batch = batch;
    one.steps = 1;
    return cases.emplace_back(one);
  };
  add("8 × 8, 64 channels", LayerKind::Concat, {1, 8, 8}, {64, 64}, 1, 2);
  add("5 × 7, a tile of 128", LayerKind::ConcatSquash, {3, 5, 7}, {72, 40}, 2, 2);
  add("a row of pixels, many channels", LayerKind::ConcatCoord, {18, 1, 9}, {33, 36}, 1, 5);
  add("swish, three probes", LayerKind::ConcatSquash, {4, 3, 5}, {40, 35}, 3, 4).activation =
      Activation::Swish;
  add("few channels between", LayerKind::Squash, {2, 4, 6}, {40, 8, 36}, 1, 3);
  ImageCase& mixed = add("1 × 1 and by two", LayerKind::Concat, {2, 4, 4}, {36, 34, 33, 40}, 1, 5);
  mixed.activation = Activation::Tanh;
  mixed.convolutions = {kThree, {{1, 1}}, {{4, 4}, 2, 1}, {{4, 4}, 2, 1, 0, true}, kThree};
  ImageCase& lattices = add("exact", LayerKind::Concat, {1, 5, 4}, {33}, 1, 3);
  lattices.trace = {TraceMode::Exact};
  ImageCase& context = add("context, adjoint", LayerKind::ConcatSquash, {1, 6, 6}, {33, 34}, 1, 2);
  context.context = {3, true};
  context.gradient = {GradientMethod::Adjoint, ffjord::AdjointNorm::Seminorm};
  context.scales = 2;
  return cases;
}

/// The same bits where evaluations are kept, where they are computed anew, and where the host
/// starts attempts.
void check_bits(Report& report) {
  ImageCase one{"bits", LayerKind::ConcatSquash};
  one.shape = {2, 5, 6};
  one.hidden = {36, 34};
  one.convolutions = {kThree, kThree, kThree};
  std::mt19937_64 generator(2);
  const Vector rows = floats(normals(one.batch * ffjord::element_count(one.shape), generator));
  SolveRequest request;
  request.batch = one.batch;
  request.rows = rows;
  request.keep_tape = true;
  request.settings.trace = probes(1);
  request.settings.solver.tableau = &ffjord::tableau("dopri5");
  request.settings.solver.rtol = request.settings.solver.atol = 1e-2;
  const auto results_of = [&](double tape_megabytes, bool loops) {
    ffjord::cuda::CudaOptions options = ffjord::cuda::process_cuda_options();
    options.tape_megabytes = tape_megabytes;
    options.loops = loops;
    const auto flow = perturbed_flow(cuda_engine(options), description_of(one));
    return solve_and_pull(*flow, request);
  };
  const Results kept = results_of(64, true);
  expect_equal("computed anew", results_of(0, true), kept, 0, report);
  expect_equal("started by the host", results_of(64, false), kept, 0, report);
  report.finish("bits");
}

int check(const Engine& engine) {
  Report report;
  check_bits(report);
  for (const ImageCase& one : cases()) {
    check_case(engine, one, report);
    report.finish(std::string(ffjord::name_of(one.layer)) + " " + one.name);
  }
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::with_cuda_engine(check); }
