// What the checks of test/cuda share.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "cuda/device/intrinsics.h"
#include "cuda/device/launch.h"
#include "cuda/device/memory.h"
#include "test/native/flow_case.h"

namespace checks {

using ffjord::cuda::DeviceArray;
using ffjord::cuda::launch;
using ffjord::cuda::LaunchShape;
using ffjord::cuda::Stream;

template <class T>
DeviceArray<T> on_device(const std::vector<T>& values, const Stream& stream) {
  DeviceArray<T> array(values.size(), stream);
  array.copy_in(values, stream);
  return array;
}

template <class T>
std::vector<T> from_device(const DeviceArray<T>& array, const Stream& stream) {
  std::vector<T> values(array.size());
  array.copy_out(values, stream);
  stream.synchronize();
  return values;
}

inline std::vector<float> normal_floats(std::size_t count, std::mt19937_64& generator,
                                        double scale = 1) {
  const Vector values = normals(count, generator, scale);
  return {values.begin(), values.end()};
}

/// What a program returns where it cannot run; ctest counts it apart.
inline constexpr int kSkipped = 77;

/// Whether there is no device, said aloud.
inline bool skips_without_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return false;
  std::printf("skipped, as no CUDA device can be used: %s\n", cudaGetErrorString(status));
  return true;
}

}  // namespace checks
