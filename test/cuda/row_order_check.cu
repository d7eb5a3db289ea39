// The order of single rows in tiles: those at work, then the others, each as they stand.
#include "cuda/step/control.h"
#include "test/cuda/kernels.h"

namespace {

using checks::Report;
using checks::Stream;
using ffjord::cuda::Group;
using ffjord::cuda::Groups;

int check() {
  Report report;
  const Stream stream;
  std::mt19937_64 generator(3);
  for (int count : {2, 31, 128, 129, 1000}) {
    std::vector<Group> groups(count);
    std::vector<int> expected;
    for (Group& group : groups) group.working = generator() % 3 == 0;
    for (int working : {1, 0})
      for (int row = 0; row < count; ++row)
        if (groups[row].working == working) expected.push_back(row);
    auto on_device = checks::on_device(groups, stream);
    checks::DeviceArray<int> order(count, stream);
    ffjord::cuda::order_rows(Groups{on_device.data(), count}, order.data(), stream);
    report.expect(std::to_string(count) + " rows", checks::from_device(order, stream) == expected);
  }
  report.finish("order of rows");
  return report.failures() > 0;
}

}  // namespace

int main() { return checks::skips_without_device() ? checks::kSkipped : check(); }
