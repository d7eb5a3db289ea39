#include "binding/measure.h"

#include <algorithm>
#include <chrono>

#include "binding/engines.h"
#include "binding/multiply_add.h"

namespace ffjord::binding {
double fma_peak(double seconds) {
  using Clock = std::chrono::steady_clock;
  const MultiplyAdd run = loop_of(cpu_report().instruction_set);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  double best = 0;
  do {
    const auto start = Clock::now();
    const double operations = run(0.5f);
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, operations / elapsed * 1e-9);
  } while (Clock::now() < end);
  return best;
}

}  // namespace ffjord::binding
