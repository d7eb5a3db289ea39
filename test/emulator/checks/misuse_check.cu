// What the emulator must refuse or make visible: everything a card would answer with silence, a
// wrong number or a crash far from its cause.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "cuda/device/device_loop.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::cuda::Event;
using ffjord::cuda::LoopCondition;
using ffjord::cuda::PinnedArray;

struct Storage {
  float values[64];
};

__global__ void write_at(float* values, int index) { values[index] = 1; }
__global__ void copy_values(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x]; }
__global__ void half_at_barrier() {
  if (threadIdx.x < 32) __syncthreads();
}
__global__ void half_of_a_warp() {
  if (threadIdx.x < 16) __syncwarp();
}
__global__ void different_operations(int* out) {
  if (threadIdx.x < 16)
    out[threadIdx.x] = __shfl_xor_sync(~0u, static_cast<int>(threadIdx.x), 1);
  else
    out[threadIdx.x] = static_cast<int>(__ballot_sync(~0u, 1));
}
__global__ void read_fresh_shared(float* out) {
  out[threadIdx.x] = ffjord::cuda::shared_memory<Storage>().values[threadIdx.x];
}
__global__ void past_shared(int index) { ffjord::cuda::shared_memory<Storage>().values[index] = 1; }
__global__ void float_sum(const float* in, float* sum) { atomicAdd(sum, in[threadIdx.x]); }
__global__ void absent_lane(float* out) { out[threadIdx.x] = __shfl_xor_sync(3u, 1.f, 2); }
__global__ void grid_barrier() { ffjord::cuda::sync_grid(); }
__global__ void go_on(LoopCondition condition) {
  ffjord::cuda::set_loop_condition(condition, true);
}

void refused(Report& report, const std::string& what, const std::string& reason,
             const Stream& stream, const std::function<void()>& call) {
  const std::string message = error_of([&] {
    call();
    stream.synchronize();
  });
  const bool holds = message.find(reason) != std::string::npos;
  if (!holds) std::printf("  %s: '%s'\n", what.c_str(), message.c_str());
  report.expect(what, holds);
}

void check_bounds(Report& report, const Stream& stream) {
  DeviceArray<float> values(10, stream);
  for (int index : {-1, 10, 12, -30})
    refused(report, "a write outside of an array", index < 0 ? "wrote before" : "wrote past",
            stream, [&] {
              launch("write_at", write_at, {}, stream, values.data(), index);
              values = DeviceArray<float>(10, stream);
            });
  for (int index : {-2, 64})
    refused(report, "a write outside of shared memory", "outside of the block's shared memory",
            stream, [&] {
              launch("past_shared", past_shared, {1, 1, sizeof(Storage)}, stream, index);
            });
  refused(report, "less shared memory than is taken", "takes 256 bytes", stream, [&] {
    launch("past_shared", past_shared, {1, 1, 128}, stream, 0);
  });
  report.finish("bounds");
}

void check_order(Report& report, const Stream& stream) {
  refused(report, "a barrier that half a block reaches", "__syncthreads", stream, [&] {
    launch("half_at_barrier", half_at_barrier, {1, 64}, stream);
  });
  refused(report, "a warp barrier that half a warp reaches", "waits forever", stream, [&] {
    launch("half_of_a_warp", half_of_a_warp, {1, 32}, stream);
  });
  DeviceArray<int> out(32, stream);
  refused(report, "lanes at different operations", "different operations", stream, [&] {
    launch("different_operations", different_operations, {1, 32}, stream, out.data());
  });
  refused(report, "a barrier of a grid that is not resident", "not cooperative", stream, [&] {
    launch("grid_barrier", grid_barrier, {2, 32}, stream);
  });
  refused(report, "more blocks than are resident", "TooLarge", stream, [&] {
    launch("grid_barrier", grid_barrier, {1000, 32, 0, true}, stream);
  });
  DeviceArray<float> sum(1, stream);
  std::mt19937_64 generator(1);
  const auto terms = on_device(normal_floats(64, generator), stream);
  sum.fill(0, stream);
  refused(report, "a sum in the order of arrival", "depends on the order of threads", stream, [&] {
    launch("float_sum", float_sum, {1, 64}, stream, terms.data(), sum.data());
  });
  const ffjord::cuda::DeviceLoop loop(
      stream, [&](LoopCondition condition) { launch("go_on", go_on, {}, stream, condition); });
  refused(report, "a loop without end", "does not end", stream, [&] { loop.run(stream); });
  report.finish("order");
}

void check_poison(Report& report, const Stream& stream) {
  DeviceArray<float> fresh(64, stream), copy(64, stream);
  launch("copy_values", copy_values, {1, 64}, stream, fresh.data(), copy.data());
  for (float value : from_device(copy, stream)) report.expect("fresh memory", std::isnan(value));
  launch("read_fresh_shared", read_fresh_shared, {1, 64, sizeof(Storage)}, stream, copy.data());
  for (float value : from_device(copy, stream))
    report.expect("fresh shared memory", std::isnan(value));
  DeviceArray<float> two(2, stream);
  launch("absent_lane", absent_lane, {1, 2}, stream, two.data());
  for (float value : from_device(two, stream))
    report.expect("the value of a lane that takes no part", std::isnan(value));
  report.finish("poison");
}

void check_hosts(Report& report, const Stream& stream) {
  std::vector<float> host(4);
  DeviceArray<float> values(4, stream);
  refused(report, "an address of the host in an argument", "address of the host", stream, [&] {
    launch("copy_values", copy_values, {1, 4}, stream, host.data(), values.data());
  });
  PinnedArray<float> pinned(4);
  launch("write_at", write_at, {}, stream, values.data(), 2);
  values.copy_out(pinned.span(), stream);
  report.expect("a result that nobody waited for is not there", std::isnan(pinned[2]));
  stream.synchronize();
  report.expect("and is once somebody did", pinned[2] == 1);

  const Stream other;
  const Event event;
  launch("write_at", write_at, {}, stream, values.data(), 3);
  stream.record(event);
  other.wait(event);
  values.copy_out(pinned.span(), other);
  other.synchronize();
  report.expect("a stream waits for another", pinned[3] == 1 && event.reached());

  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    std::fclose(stderr);
    [[maybe_unused]] volatile float value = values.data()[0];
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  report.expect("the host cannot read the device", WIFSIGNALED(status));
  report.finish("host and device");
}

}  // namespace

int main() {
  Report report;
  const Stream stream;
  check_bounds(report, stream);
  check_order(report, stream);
  check_poison(report, stream);
  check_hosts(report, stream);
  return report.failures() > 0;
}
