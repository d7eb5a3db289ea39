#include "cuda/device/device.h"
#include "cuda/device/launch.h"

namespace ffjord::cuda {
namespace {

std::string version(int number) {  // 13020 → "13.2"
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

// Why the runtime counts no device.
std::string reason_of(cudaError_t status) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (status == cudaErrorNoDevice || status == cudaSuccess)
    return "the NVIDIA driver finds no card; see nvidia-smi, and whether CUDA_VISIBLE_DEVICES or "
           "the container hides it";
  if (driver == 0)
    return "there is no NVIDIA driver (libcuda.so.1); install one for CUDA " + version(runtime) +
           " or newer, or start the container with access to the card (--gpus all)";
  if (status == cudaErrorInsufficientDriver)
    return "the NVIDIA driver serves CUDA " + version(driver) + ", and this package needs " +
           version(runtime) + "; update the driver";
  return std::string("the CUDA runtime does not start: ") + cudaGetErrorString(status);
}

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, index), "attributes of the device");
  return value;
}

Device describe(int index) {
  Device device{index, device_name(index), "float32", ""};
  try {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index), "properties of the device");
    device.description += std::string(", ") + properties.name;
    const int major = attribute(cudaDevAttrComputeCapabilityMajor, index);
    const int minor = attribute(cudaDevAttrComputeCapabilityMinor, index);
    if (major * 10 + minor < 75)
      device.unusable = "its compute capability " + std::to_string(major) + "." +
                        std::to_string(minor) + " is below 7.5 (Turing); use device 'cpu'";
    else if (!attribute(cudaDevAttrMemoryPoolsSupported, index))
      device.unusable = "its driver has no memory pools (a virtual GPU?); use device 'cpu'";
    else if (!attribute(cudaDevAttrCooperativeLaunch, index))
      device.unusable = "it has no cooperative launches; use device 'cpu'";
  } catch (const Error& error) {
    device.unusable = error.what();
  }
  return device;
}

}  // namespace

std::vector<Device> devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    return {{0, device_name(0), "float32", reason_of(status)}};
  }
  std::vector<Device> all;
  for (int index = 0; index < count; ++index) all.push_back(describe(index));
  return all;
}

}  // namespace ffjord::cuda
