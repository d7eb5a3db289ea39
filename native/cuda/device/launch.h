// How every kernel is started, and the one check of what CUDA returns. With intrinsics.h the only
// file of this folder that knows of the emulator (test/emulator), which runs the same sources on
// the host.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/errors.h"
#include "cuda/device/stream.h"

namespace ffjord::cuda {

#ifdef FFJORD_EMULATED
/// Flows of the emulator are never taken for flows of a card.
inline std::string device_name(int) { return "cuda-emulated"; }
#else
inline std::string device_name(int device) { return "cuda:" + std::to_string(device); }
#endif

struct LaunchShape {
  dim3 grid{1};
  dim3 block{1};
  std::size_t shared_bytes = 0;  ///< of the struct that the kernel takes from shared_memory<T>()
  bool cooperative = false;      ///< all blocks are resident at once and may call sync_grid()
};

namespace detail {

#ifdef FFJORD_EMULATED

template <class... Parameters>
cudaError_t start(const char* name, void (*kernel)(Parameters...), const LaunchShape& shape,
                  cudaStream_t stream, std::tuple<Parameters...>& parameters) {
  return emulator::launch(name, kernel, {shape.grid, shape.block, shape.shared_bytes},
                          shape.cooperative, stream, parameters);
}

#else

template <class... Parameters>
cudaError_t start(const char*, void (*kernel)(Parameters...), const LaunchShape& shape,
                  cudaStream_t stream, std::tuple<Parameters...>& parameters) {
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &cooperative;
  config.numAttrs = shape.cooperative ? 1 : 0;
  return std::apply(
      [&](auto&... each) {
        void* pointers[sizeof...(each) + 1] = {&each..., nullptr};
        return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers);
      },
      parameters);
}

#endif

/// What every block gets without asking.
inline constexpr std::size_t kPlainSharedBytes = 48 * 1024;

// What a kernel may take is a setting of the process, and flows launch from threads of their own:
// it is always set to the most that the card has, so that none takes it from another.
template <class Kernel>
void allow_shared_memory(const char* name, Kernel kernel, std::size_t bytes) {
  if (bytes <= kPlainSharedBytes) return;
  int device = 0, most = 0;
  check(cudaGetDevice(&device), name);
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), name);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most), name);
}

}  // namespace detail

/// Starts a kernel on `stream`, its arguments by value. `name` is the identifier of the kernel: it
/// names a failure, and the tests count by it which kernels ran.
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const LaunchShape& shape,
            const Stream& stream, Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "arguments of a kernel are copied byte by byte");
  std::tuple<Parameters...> parameters(std::forward<Arguments>(arguments)...);
  detail::allow_shared_memory(name, kernel, shape.shared_bytes);
  check(detail::start(name, kernel, shape, stream.get(), parameters), name);
}

/// How many blocks of a kernel the current device holds at once: the largest cooperative grid.
template <class... Parameters>
int resident_blocks(const char* name, void (*kernel)(Parameters...), int threads,
                    std::size_t shared_bytes) {
  detail::allow_shared_memory(name, kernel, shared_bytes);
  int device = 0, processors = 0, blocks = 0;
  check(cudaGetDevice(&device), name);
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), name);
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared_bytes),
        name);
  return blocks * processors;
}

}  // namespace ffjord::cuda
