// Products of a warpgroup: of matrices in shared memory, named by descriptors as the PTX manual has
// them, with sums that change as late as they may (when they are waited for), or at once.
#include <algorithm>
#include <cstring>

#include "device_functions.h"
#include "fragment_product.h"
#include "grid.h"

namespace emulator {

namespace {

constexpr int kDepth = 16;

std::uint64_t field(std::uint64_t bytes) {
  if (bytes % 16 != 0 || bytes >= 1u << 18) fail("a matrix of a product that is not aligned");
  return bytes / 16;
}

// Entry (line, k): 8 × 8 core matrices of 128 bytes.
double entry(std::uint64_t descriptor, unsigned line, unsigned k) {
  const auto bytes = [&](int shift) { return (descriptor >> shift & 0x3FFFu) * 16; };
  const std::uint64_t offset =
      bytes(0) + k / 8 * bytes(16) + line / 8 * bytes(32) + line % 8 * 16 + k % 8 * 2;
  const SharedMemory shared = block_memory();
  if (offset + 2 > shared.bytes) fail("a product reads beyond the block's shared memory");
  std::uint16_t half;
  std::memcpy(&half, shared.start + offset, 2);
  return unpack_half2(half).x;
}

// C (64, 8 fragments) += A (64, 16) Bᵀ.
void multiply_group(void* (&given)[kWarpgroup], std::size_t product) {
  const auto of = [&](unsigned thread) -> const PendingProduct& {
    return static_cast<ThreadProducts*>(given[thread])->pending[product];
  };
  const PendingProduct& first = of(0);
  double a[4][16][kDepth];
  for (unsigned line = 0; line < 64; ++line)
    for (unsigned k = 0; k < kDepth; ++k) a[line / 16][line % 16][k] = entry(first.a, line, k);
  for (int n = 0; n < first.fragments; ++n) {
    double b[kDepth][8];
    for (unsigned k = 0; k < kDepth; ++k)
      for (unsigned j = 0; j < 8; ++j)
        b[k][j] = entry(first.b, 8 * static_cast<unsigned>(n) + j, k);
    for (unsigned warp = 0; warp < 4; ++warp) {
      double c[16][8];
      const auto each = [&](auto use) {
        for (unsigned lane = 0; lane < 32; ++lane)
          for (unsigned i = 0; i < 4; ++i)
            use(of(32 * warp + lane).c[n][i], c[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2]);
      };
      each([](float own, double& sum) { sum = own; });
      multiply(a[warp], b, c);
      each([](float& own, double sum) { own = static_cast<float>(sum); });
    }
  }
}

// Runs what all threads of the warpgroup have committed.
void multiply_committed(void* (&given)[kWarpgroup]) {
  const auto committed = [](const void* thread) {
    const auto& pending = static_cast<const ThreadProducts*>(thread)->pending;
    return static_cast<std::size_t>(std::count_if(pending.begin(), pending.end(),
                                                  [](const auto& one) { return one.committed; }));
  };
  const std::size_t count = committed(given[0]);
  const auto same = [&](void* thread) {
    const auto& own = static_cast<ThreadProducts*>(thread)->pending;
    const auto& first = static_cast<ThreadProducts*>(given[0])->pending;
    return committed(thread) == count &&
           std::equal(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(count), first.begin(),
                      [](const PendingProduct& x, const PendingProduct& y) {
                        return x.a == y.a && x.b == y.b && x.fragments == y.fragments;
                      });
  };
  if (!std::all_of(std::begin(given), std::end(given), same))
    fail("threads of a warpgroup ask for different products");
  for (std::size_t product = 0; product < count; ++product) multiply_group(given, product);
  for (void* thread : given) {
    auto& pending = static_cast<ThreadProducts*>(thread)->pending;
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

void run_committed() { meet_warpgroup(&products_of_thread(), multiply_committed, "wgmma"); }

}  // namespace

std::uint64_t matrix_descriptor(const void* shared, int leading, int stride) {
  const auto offset = static_cast<const unsigned char*>(shared) - block_memory().start;
  return field(static_cast<std::uint64_t>(offset)) |
         field(static_cast<std::uint64_t>(leading)) << 16 |
         field(static_cast<std::uint64_t>(stride)) << 32;
}

void show_to_products() { products_of_thread().shown = true; }

void begin_products() { products_of_thread().begun = true; }

// Stricter than a card: every thread shows what it wrote before each batch, also if that is
// nothing.
void multiply_async(float (*c)[4], int fragments, std::uint64_t a, std::uint64_t b) {
  ThreadProducts& products = products_of_thread();
  if (!products.shown) fail("a product of shared memory that was not shown to it");
  if (!products.begun) fail("a product without begin_products");
  products.pending.push_back({c, fragments, a, b, false});
}

void commit_products() {
  for (PendingProduct& product : products_of_thread().pending) product.committed = true;
  if (copies_early()) run_committed();
}

void wait_for_products() {
  if (!copies_early()) run_committed();
  products_of_thread().shown = products_of_thread().begun = false;
}

}  // namespace emulator
