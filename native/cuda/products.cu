#include <cstdlib>
#include <string>

#include "core/errors.h"
#include "cuda/products.h"
#include "cuda/stream.h"

namespace ffjord::cuda {
namespace {

Products named_products() {
  const char* const variable = std::getenv("FFJORD_CUDA_PRODUCTS");
  const std::string name = variable ? variable : "fp16x3";
  if (name == "float32") return Products::Float32;
  if (name == "tf32x3") return Products::Tf32x3;
  if (name == "fp16x3") return Products::Half3;
  throw Error(ErrorCode::InvalidArgument,
              "FFJORD_CUDA_PRODUCTS is '" + name + "'; it may be float32, tf32x3 or fp16x3");
}

int capability() {
  int device = 0, major = 0, minor = 0;
  check(cudaGetDevice(&device), "device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "device");
  return 10 * major + minor;
}

}  // namespace

bool has_warpgroup_products() { return capability() == 90; }

Products chosen_products() {
  const Products products = named_products();
  if (products == Products::Float32) return products;
  if (capability() < 80) return Products::Float32;
  return products == Products::Half3 && has_warpgroup_products() ? Products::WarpgroupHalf3
                                                                 : products;
}

}  // namespace ffjord::cuda
