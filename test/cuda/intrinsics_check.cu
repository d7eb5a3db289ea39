// Warp operations, matrix products and memory as native/cuda uses them, on a card or under the
// emulator.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "cuda/device/device_loop.h"
#include "cuda/flow/gather.h"
#include "cuda/product/products.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::cuda::DeviceLoop;
using ffjord::cuda::LoopCondition;

__global__ void shuffles(const int* in, int* out) {
  const int lane = threadIdx.x & 31, value = in[threadIdx.x];
  int* own = out + threadIdx.x * 8;
  own[0] = __shfl_sync(~0u, value, 5);
  own[1] = __shfl_xor_sync(~0u, value, 3);
  own[2] = __shfl_up_sync(~0u, value, 2);
  own[3] = __shfl_down_sync(~0u, value, 7);
  own[4] = __shfl_xor_sync(~0u, value, 1, 4);
  own[5] = static_cast<int>(__ballot_sync(~0u, value % 3 == 0));
  own[6] = __shfl_down_sync(~0u, value, 3, 8);
  own[7] = __shfl_sync(0xFu << (lane & ~3), value, lane | 3);  // quads on their own
}

void check_shuffles(Report& report, const Stream& stream) {
  std::vector<int> in(64);
  for (int i = 0; i < 64; ++i) in[i] = 7 * i % 31 + 100 * (i / 32);
  const auto d_in = on_device(in, stream);
  DeviceArray<int> d_out(64 * 8, stream);
  launch("shuffles", shuffles, {1, 64}, stream, d_in.data(), d_out.data());
  const auto out = from_device(d_out, stream);
  for (int i = 0; i < 64; ++i) {
    const int lane = i % 32, warp = i - lane;
    int ballot = 0;
    for (int j = 0; j < 32; ++j) ballot |= static_cast<int>(unsigned{in[warp + j] % 3 == 0} << j);
    const int expected[8] = {in[warp + 5],
                             in[warp + (lane ^ 3)],
                             in[lane < 2 ? i : i - 2],
                             in[lane + 7 > 31 ? i : i + 7],
                             in[warp + (lane ^ 1)],
                             ballot,
                             in[lane % 8 + 3 > 7 ? i : i + 3],
                             in[warp + (lane | 3)]};
    for (int k = 0; k < 8; ++k)
      report.expect("operation " + std::to_string(k), out[i * 8 + k] == expected[k]);
  }
  report.finish("shuffles and votes");
}

// Every lane takes its elements by the layout that intrinsics.h states.
__global__ void product_tf32(const float* a, const float* b, float* c) {
  const int lane = threadIdx.x, g = lane / 4, q = lane % 4;
  const unsigned fa[4] = {__float_as_uint(a[g * 8 + q]), __float_as_uint(a[(g + 8) * 8 + q]),
                          __float_as_uint(a[g * 8 + q + 4]),
                          __float_as_uint(a[(g + 8) * 8 + q + 4])};
  const unsigned fb[2] = {__float_as_uint(b[q * 8 + g]), __float_as_uint(b[(q + 4) * 8 + g])};
  float fc[4];
  for (int i = 0; i < 4; ++i) fc[i] = c[(g + 8 * (i / 2)) * 8 + 2 * q + i % 2];
  ffjord::cuda::mma_tf32(fc, fa, fb);
  for (int i = 0; i < 4; ++i) c[(g + 8 * (i / 2)) * 8 + 2 * q + i % 2] = fc[i];
}

__global__ void product_f16(const float* a, const float* b, float* c) {
  const int lane = threadIdx.x, g = lane / 4, q = lane % 4;
  const auto pair = [](float x, float y) { return ffjord::cuda::pack_half2(x, y); };
  unsigned fa[4], fb[2];
  for (int i = 0; i < 4; ++i) {
    const float* row = a + (g + 8 * (i % 2)) * 16 + 2 * q + 8 * (i / 2);
    fa[i] = pair(row[0], row[1]);
  }
  for (int i = 0; i < 2; ++i) {
    const float* column = b + (2 * q + 8 * i) * 8 + g;
    fb[i] = pair(column[0], column[8]);
  }
  float fc[4];
  for (int i = 0; i < 4; ++i) fc[i] = c[(g + 8 * (i / 2)) * 8 + 2 * q + i % 2];
  ffjord::cuda::mma_f16(fc, fa, fb);
  for (int i = 0; i < 4; ++i) c[(g + 8 * (i / 2)) * 8 + 2 * q + i % 2] = fc[i];
}

void check_products(Report& report, const Stream& stream) {
  std::mt19937_64 generator(3);
  for (int round = 0; round < 50; ++round)
    for (int depth : {8, 16}) {
      auto a = normal_floats(16 * depth, generator), b = normal_floats(depth * 8, generator);
      // Values of few bits, which both kinds of input hold exactly.
      for (auto* values : {&a, &b})
        for (float& value : *values) value = std::round(value * 64) / 64;
      const auto c = normal_floats(16 * 8, generator);
      const auto d_a = on_device(a, stream), d_b = on_device(b, stream);
      auto d_c = on_device(c, stream);
      const auto kernel = depth == 8 ? product_tf32 : product_f16;
      launch(depth == 8 ? "product_tf32" : "product_f16", kernel, {1, 32}, stream, d_a.data(),
             d_b.data(), d_c.data());
      const auto result = from_device(d_c, stream);
      for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 8; ++j) {
          double sum = c[i * 8 + j], size = std::abs(sum);
          for (int k = 0; k < depth; ++k) {
            const double term = static_cast<double>(a[i * depth + k]) * b[k * 8 + j];
            sum += term;
            size += std::abs(term);
          }
          report.expect("depth " + std::to_string(depth), std::abs(result[i * 8 + j] - sum) / size,
                        3e-7);
        }
    }
  report.finish("matrix products against plain ones");
}

constexpr int kUnits = 64, kGroupDepth = 32, kOctets = kGroupDepth / 8;

// Halves as core matrices, [octet of depth][line].
struct GroupStorage {
  alignas(16) uint4 a[kOctets][64], b[kOctets][kUnits];
};

// Two warpgroups: c (64, 64) += a (64, 32) bᵀ, b (64, 32), each for 32 units.
__global__ void product_of_groups(const float* a, const float* b, float* c) {
  auto& storage = ffjord::cuda::shared_memory<GroupStorage>();
  const int line = static_cast<int>(threadIdx.x) % 64, octet = static_cast<int>(threadIdx.x) / 64;
  const auto octet_of = [&](const float* matrix) {
    const float* from = matrix + line * kGroupDepth + 8 * octet;
    const auto pair = [&](int i) { return ffjord::cuda::pack_half2(from[i], from[i + 1]); };
    return uint4{pair(0), pair(2), pair(4), pair(6)};
  };
  storage.a[octet][line] = octet_of(a);
  storage.b[octet][line] = octet_of(b);
  ffjord::cuda::show_to_products();
  __syncthreads();
  const int first_unit = static_cast<int>(threadIdx.x) / 128 * 32;
  const int warp = ffjord::cuda::warp_index() % 4, lane = ffjord::cuda::lane_index();
  float sums[1][4][4];
  const auto each = [&](const auto& use) {
    for (int n = 0; n < 4; ++n)
      for (int i = 0; i < 4; ++i) {
        const int row = 16 * warp + lane / 4 + 8 * (i / 2);
        use(sums[0][n][i], c[row * kUnits + first_unit + 8 * n + 2 * (lane % 4) + i % 2]);
      }
  };
  each([](float& sum, float& entry) { sum = entry; });
  ffjord::cuda::begin_products(sums);
  for (int o = 0; o < kOctets; o += 2)
    ffjord::cuda::multiply_async(
        sums[0], ffjord::cuda::matrix_descriptor(storage.a[o], sizeof storage.a[0], 128),
        ffjord::cuda::matrix_descriptor(&storage.b[o][first_unit], sizeof storage.b[0], 128));
  ffjord::cuda::commit_products();
  ffjord::cuda::wait_for_products(sums);
  each([](float& sum, float& entry) { entry = sum; });
}

void check_products_of_groups(Report& report, const Stream& stream) {
  if (!ffjord::cuda::has_warpgroup_products()) return;
  std::mt19937_64 generator(4);
  for (int round = 0; round < 5; ++round) {
    auto a = normal_floats(64 * kGroupDepth, generator);
    auto b = normal_floats(kUnits * kGroupDepth, generator);
    for (auto* values : {&a, &b})  // that halves hold exactly
      for (float& value : *values) value = std::round(value * 64) / 64;
    const auto c = normal_floats(64 * kUnits, generator);
    const auto d_a = on_device(a, stream), d_b = on_device(b, stream);
    auto d_c = on_device(c, stream);
    launch("product_of_groups", product_of_groups, {1, 256, sizeof(GroupStorage)}, stream,
           d_a.data(), d_b.data(), d_c.data());
    const auto result = from_device(d_c, stream);
    for (int i = 0; i < 64; ++i)
      for (int j = 0; j < kUnits; ++j) {
        double sum = c[i * kUnits + j], size = std::abs(sum);
        for (int k = 0; k < kGroupDepth; ++k) {
          const double term = static_cast<double>(a[i * kGroupDepth + k]) * b[j * kGroupDepth + k];
          sum += term;
          size += std::abs(term);
        }
        report.expect("entry", std::abs(result[i * kUnits + j] - sum) / size, 3e-7);
      }
  }
  report.finish("products of warpgroups");
}

struct MatrixStorage {
  alignas(16) std::uint16_t rows[32][8];
};

__global__ void matrix_loads(unsigned* plain, unsigned* transposed) {
  auto& storage = ffjord::cuda::shared_memory<MatrixStorage>();
  const int lane = threadIdx.x;
  for (int i = 0; i < 8; ++i) storage.rows[lane][i] = static_cast<std::uint16_t>(lane * 8 + i);
  __syncwarp();
  unsigned r[4];
  ffjord::cuda::load_matrix_x4(r, storage.rows[lane]);
  for (int i = 0; i < 4; ++i) plain[lane * 4 + i] = r[i];
  ffjord::cuda::load_matrix_x4_transposed(r, storage.rows[lane]);
  for (int i = 0; i < 4; ++i) transposed[lane * 4 + i] = r[i];
}

void check_matrix_loads(Report& report, const Stream& stream) {
  DeviceArray<unsigned> d_plain(128, stream), d_transposed(128, stream);
  launch("matrix_loads", matrix_loads, {1, 32, sizeof(MatrixStorage)}, stream, d_plain.data(),
         d_transposed.data());
  const auto plain = from_device(d_plain, stream), transposed = from_device(d_transposed, stream);
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned m = 0; m < 4; ++m) {
      const unsigned row = (8 * m + lane / 4) * 8 + 2 * (lane % 4);
      const unsigned column = (8 * m + 2 * (lane % 4)) * 8 + lane / 4;
      report.expect("plain", plain[lane * 4 + m] == (row | (row + 1) << 16));
      report.expect("transposed", transposed[lane * 4 + m] == (column | (column + 8) << 16));
    }
  report.finish("matrix loads");
}

struct CopyStorage {
  alignas(16) float values[2][256];
};

// Two stages in flight: while one is summed the next is copied.
__global__ void staged_sum(const float* in, int stages, float* out) {
  auto& storage = ffjord::cuda::shared_memory<CopyStorage>();
  const unsigned i = threadIdx.x;
  const auto fetch = [&](int stage) {
    ffjord::cuda::copy_async_16(&storage.values[stage % 2][4 * i], in + stage * 256 + 4 * i);
    ffjord::cuda::commit_copies();
  };
  fetch(0);
  float sum = 0;
  for (int stage = 0; stage < stages; ++stage) {
    if (stage + 1 < stages) {
      fetch(stage + 1);
      ffjord::cuda::wait_for_copies<1>();
    } else {
      ffjord::cuda::wait_for_copies<0>();
    }
    __syncthreads();
    for (unsigned j = 0; j < 4; ++j) sum += storage.values[stage % 2][(i * 4 + j * 37) % 256];
    __syncthreads();
  }
  out[i] = sum;
}

void check_copies(Report& report, const Stream& stream) {
  std::mt19937_64 generator(5);
  const int stages = 5;
  const auto in = normal_floats(stages * 256, generator);
  const auto d_in = on_device(in, stream);
  DeviceArray<float> d_out(64, stream);
  launch("staged_sum", staged_sum, {1, 64, sizeof(CopyStorage)}, stream, d_in.data(), stages,
         d_out.data());
  const auto out = from_device(d_out, stream);
  for (int i = 0; i < 64; ++i) {
    float sum = 0;
    for (int stage = 0; stage < stages; ++stage)
      for (int j = 0; j < 4; ++j) sum += in[stage * 256 + (i * 4 + j * 37) % 256];
    report.expect("sum", out[i] == sum);
  }
  report.finish("asynchronous copies");
}

// Every block adds up what all blocks wrote before.
__global__ void grid_rounds(int rounds, int* values, int* sums) {
  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x);
  for (int round = 0; round < rounds; ++round) {
    if (threadIdx.x == 0) values[block] = block + round * 10;
    ffjord::cuda::sync_grid();
    if (threadIdx.x == 1) {
      int sum = 0;
      for (int i = 0; i < blocks; ++i) sum += values[i];
      sums[round * blocks + block] = sum;
    }
    ffjord::cuda::sync_grid();
  }
}

void check_grid(Report& report, const Stream& stream) {
  const int rounds = 4;
  const int blocks = std::min(ffjord::cuda::resident_blocks("grid_rounds", grid_rounds, 64, 0), 8);
  report.expect("several blocks at once", blocks > 1);
  DeviceArray<int> values(blocks, stream), d_sums(blocks * rounds, stream);
  const LaunchShape shape{static_cast<unsigned>(blocks), 64, 0, true};
  launch("grid_rounds", grid_rounds, shape, stream, rounds, values.data(), d_sums.data());
  const auto sums = from_device(d_sums, stream);
  for (int round = 0; round < rounds; ++round)
    for (int block = 0; block < blocks; ++block)
      report.expect(
          "sum", sums[round * blocks + block] == blocks * (blocks - 1) / 2 + blocks * round * 10);
  report.finish("barrier of a grid");
}

__global__ void count_down(int* left, int* trips, LoopCondition condition) {
  ++*trips;
  if (--*left <= 0) ffjord::cuda::set_loop_condition(condition, false);
}

void check_loop(Report& report, const Stream& stream) {
  DeviceArray<int> left(1, stream), trips(1, stream);
  trips.fill(0, stream);
  const DeviceLoop loop(stream, [&](LoopCondition condition) {
    launch("count_down", count_down, {}, stream, left.data(), trips.data(), condition);
  });
  for (int count : {5, 1, 37}) {
    left.copy_in(std::vector<int>{count}, stream);
    loop.run(stream);
  }
  report.expect("trips", from_device(trips, stream).front() == 43);
  report.finish("a loop that the device runs");
}

void check_gather(Report& report, const Stream& stream) {
  std::mt19937_64 generator(7);
  const auto rows = normal_floats(50 * 3, generator);
  std::vector<std::uint32_t> indices(20);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i * 17 % 50;
  const auto d_rows = on_device(rows, stream);
  const auto d_indices = on_device(indices, stream);
  DeviceArray<float> d_target(20 * 3, stream);
  ffjord::cuda::gather_rows(d_rows.data(), d_indices.data(), 20, 3, d_target.data(), stream);
  const auto target = from_device(d_target, stream);
  for (std::size_t i = 0; i < 60; ++i)
    report.expect("row", target[i] == rows[indices[i / 3] * 3 + i % 3]);
  report.finish("gather");
}

void check_memory(Report& report, const Stream& stream) {
  const std::string message =
      error_of([&] { DeviceArray<float> huge(std::size_t{1} << 44, stream); });
  report.expect("the error names what was asked for and what is free",
                message.find("asked for 67108864 MiB") != std::string::npos &&
                    message.find("are free") != std::string::npos);
  const DeviceArray<float> small(16, stream);  // and the device goes on
  report.finish("memory");
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const Stream stream;
  check_shuffles(report, stream);
  check_products(report, stream);
  check_products_of_groups(report, stream);
  check_matrix_loads(report, stream);
  check_copies(report, stream);
  check_grid(report, stream);
  check_loop(report, stream);
  check_gather(report, stream);
  check_memory(report, stream);
  return report.failures() > 0;
}
