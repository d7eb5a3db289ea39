// Times of the CUDA engine without the binding, as rows of a Markdown table: solves and training
// iterations, of the best of several repetitions by the host's clock. Rows stay on the card, as
// they do in training.
//   gpu_times [SECONDS a row]
//   gpu_times once     a solve and an iteration of two nets, for a profiler, whose attempts the
//   host
//                      starts: profilers do not look into loops of the device
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/flow_training.h"
#include "core/tableau.h"
#include "cuda/flow/cuda_engine.h"

namespace ffjord {
namespace {

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// Seconds of the quickest call.
double best(const std::function<void()>& call, double seconds) {
  for (int i = 0; i < 3; ++i) call();
  double result = 1e300;
  const double deadline = now() + seconds;
  do {
    const double started = now();
    call();
    result = std::min(result, now() - started);
  } while (now() < deadline);
  return result;
}

struct Case {
  std::vector<int> widths;  ///< data, hidden …, data
  Activation activation;
  std::vector<std::size_t> batches;

  std::string name() const {
    std::string text;
    for (int width : widths) text += (text.empty() ? "" : "-") + std::to_string(width);
    return text + " " + std::string(name_of(activation));
  }
  /// Operations of a row in products: six evaluations of a value and a tangent.
  double operations_an_attempt() const {
    double weights = 0;
    for (std::size_t l = 1; l < widths.size(); ++l) weights += double(widths[l - 1]) * widths[l];
    return 6 * 2 * 2 * weights;
  }
  FlowDescription description() const {
    Cnf cnf;
    cnf.time = 30;  // first weights are gentle: about twenty attempts
    cnf.net.hidden.assign(widths.begin() + 1, widths.end() - 1);
    cnf.net.layer = LayerKind::Concat;
    cnf.net.activation = activation;
    return {{widths.front()}, {cnf}};
  }
};

/// Repeatable values in (−1.7, 1.7), of variance about 1.
std::vector<float> values(std::size_t count) {
  std::vector<float> result(count);
  std::uint32_t state = 1;
  for (float& value : result) {
    state = state * 1664525u + 1013904223u;
    value = 3.46f * (static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
  }
  return result;
}

/// How solves are run (docs/cuda.md): by one launch, where the net is small, whose tiles have so
/// many rows, and by which arithmetic large products.
cuda::CudaOptions way(std::optional<int> tile_rows, const char* products) {
  cuda::CudaOptions options = cuda::parse_cuda_options(std::string("products=") + products);
  options.fused = tile_rows;
  return options;
}

std::string name_of(const cuda::CudaOptions& way) {
  if (!way.fused) return "as chosen";
  if (*way.fused > 0) return "fused, tiles of " + std::to_string(*way.fused);
  return way.products == cuda::CudaOptions::Products::Float32 ? "by layer, float32"
                                                              : "by layer, fp16x3";
}

/// A net's flow with rows on the card, which a call solves or trains on.
class Work {
 public:
  Work(const Case& net, const cuda::CudaOptions& way, std::size_t batch)
      : flow_(cuda::engines(way).front().create(net.description(), 0, {})),
        rows_(flow_->upload(batch, values(batch * static_cast<std::size_t>(net.widths.front())))),
        indices_(batch),
        sizes_{static_cast<std::uint32_t>(batch)} {
    std::iota(indices_.begin(), indices_.end(), 0u);
    request_.batch = batch;
    request_.rows = RowSource(*rows_, indices_);
    request_.settings.trace.mode = TraceMode::Hutchinson;
    request_.settings.solver.tableau = &tableau("dopri5");
  }

  SolveStatistics solve() { return flow_->solve(request_, {}).statistics; }
  void iterate() {
    const FlowTask task{.rows = *rows_, .visits = {}, .weights = {}};
    const Burst burst{.indices = indices_,
                      .batch_sizes = sizes_,
                      .learning_rates = still_,
                      .settings = request_.settings,
                      .optimizer = {},
                      .stop = {}};
    train(*flow_, task, burst);
  }

 private:
  const std::unique_ptr<Flow> flow_;
  const std::unique_ptr<Rows> rows_;
  std::vector<std::uint32_t> indices_;
  const std::vector<std::uint32_t> sizes_;
  const std::vector<double> still_{0};  // all of the work, and every iteration the same problem
  SolveRequest request_;
};

void run_once(const Case& net) {
  cuda::CudaOptions way;
  way.loops = false;
  for (const std::size_t batch : net.batches) {
    Work work(net, way, batch);
    work.solve();
    work.iterate();
  }
}

void measure(const Case& net, const cuda::CudaOptions& way, double seconds) {
  for (const std::size_t batch : net.batches) {
    Work work(net, way, batch);
    SolveStatistics counts;
    const double solve = best([&] { counts = work.solve(); }, seconds);
    const double attempts = counts.accepted + counts.rejected;
    const double training = best([&] { work.iterate(); }, seconds);
    const double seconds_an_attempt = solve / attempts;
    std::printf("| %s | %s | %zu | %.0f | %.1f | %.1f | %.2f | %.1f |\n", net.name().c_str(),
                name_of(way).c_str(), batch, attempts, 1e6 * solve, 1e6 * seconds_an_attempt,
                net.operations_an_attempt() * batch / seconds_an_attempt / 1e12, 1e6 * training);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace ffjord

int main(int count, char** arguments) {
  using namespace ffjord;
  const bool once = count > 1 && std::string(arguments[1]) == "once";
  const double seconds = count > 1 && !once ? std::atof(arguments[1]) : 1;
  const Engine engine = cuda::engines().front();
  if (!engine.unusable.empty()) {
    std::fprintf(stderr, "gpu_times: %s\n", engine.unusable.c_str());
    return 1;
  }
  std::printf("%s: %s\n\n", engine.name.c_str(), engine.description.c_str());
  std::printf(
      "| net | way | batch | attempts of dopri5 | solve, us | per attempt, us | TFLOP/s | "
      "iteration, us |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  const Activation tanh = Activation::Tanh, softplus = Activation::Softplus;
  if (once) {
    run_once({{2, 64, 64, 64, 2}, tanh, {100, 2000, 10000}});
    run_once({{43, 860, 860, 43}, softplus, {1000}});
    return 0;
  }
  for (const std::optional<int> tile_rows :
       {std::optional<int>(), std::optional(4), std::optional(16), std::optional(32),
        std::optional(0)})
    measure({{2, 64, 64, 64, 2}, tanh, {100, 2000, 10000, 100000}}, way(tile_rows, "fp16x3"),
            seconds);
  for (const char* products : {"float32", "fp16x3"})
    measure({{43, 860, 860, 43}, softplus, {1000}}, way(0, products), seconds);
}
