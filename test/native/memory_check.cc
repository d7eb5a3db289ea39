// Sizes that no machine has are refused before they are allocated, and memory that was promised is
// not given out again.
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>

#include "core/memory.h"
#include "flow_case.h"

namespace {

using checks::error_of;
using checks::Report;

constexpr std::uint64_t kPetabyte = std::uint64_t{1} << 50;

bool refused(const std::string& message) {
  return message.find("this needs") == 0 && message.find("; use ") != std::string::npos;
}

void check_sizes(Report& report) {
  const std::uint64_t available = ffjord::available_memory();
  report.expect("some memory is left", available > 0);
  report.expect("a byte is there", error_of([] { ffjord::require_memory(1); }).empty());
  report.expect("a petabyte is not", refused(error_of([] { ffjord::require_memory(kPetabyte); })));
  report.expect(
      "nor is the largest number",
      refused(error_of([] { ffjord::require_memory(std::numeric_limits<std::uint64_t>::max()); })));
  report.expect("a petabyte at once",
                refused(error_of([] { ffjord::count_allocation(kPetabyte); })));
  report.expect("many small ones", error_of([] {
                                     for (int i = 0; i < 1'000'000; ++i)
                                       ffjord::count_allocation(256);
                                   }).empty());
  report.expect("a product", ffjord::product_of_sizes({3, 5, 7}) == 105);
  report.expect("a product of nothing", ffjord::product_of_sizes({std::size_t{1} << 62, 0}) == 0);
  report.expect("a product that no number holds", refused(error_of([] {
                  ffjord::product_of_sizes({std::size_t{1} << 32, std::size_t{1} << 31, 2});
                })));
  report.finish("sizes");
}

void check_promises(Report& report) {
  const std::uint64_t half = ffjord::available_memory() / 2;
  {
    ffjord::PromisedMemory promise;
    promise.add(half);
    report.expect("what is promised is taken",
                  refused(error_of([half] { ffjord::require_memory(half); })));
  }
  report.expect("until it is written", error_of([half] { ffjord::require_memory(half); }).empty());
  ffjord::PromisedMemory promise;
  report.expect("too much is not promised", refused(error_of([&] { promise.add(kPetabyte); })));
  report.expect("nor counted", error_of([half] { ffjord::require_memory(half); }).empty());
  report.finish("promises");
}

void check_idle(Report& report) {
  int calls = 0;
  {
    const ffjord::IdleMemory idle([&calls] { ++calls; });
    report.expect("idle memory stays where there is more",
                  error_of([] { ffjord::require_memory(1); }).empty() && calls == 0);
    report.expect("and is given back before a refusal",
                  refused(error_of([] { ffjord::require_memory(kPetabyte); })) && calls == 1);
  }
  report.expect("but not once it is gone",
                refused(error_of([] { ffjord::require_memory(kPetabyte); })) && calls == 1);
  report.finish("idle memory");
}

}  // namespace

int main() {
  Report report;
  check_sizes(report);
  check_promises(report);
  check_idle(report);
  std::printf("%d failures\n", report.failures());
  return report.failures() == 0 ? 0 : 1;
}
