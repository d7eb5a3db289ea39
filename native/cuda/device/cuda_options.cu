#include <cmath>
#include <cstdlib>
#include <string>

#include "core/errors.h"
#include "cuda/device/cuda_options.h"

namespace ffjord::cuda {
namespace {

constexpr const char* kVariable = "FFJORD_CUDA_OPTIONS";

[[noreturn]] void refuse(std::string_view part) {
  throw Error(ErrorCode::InvalidArgument,
              std::string(kVariable) + " has '" + std::string(part) +
                  "'; it may name products (float32 or fp16x3), fused (0, 4, 16 or 32), loops "
                  "(0 or 1) and tapeMb (a number of MiB), as in 'products=float32,loops=0'");
}

void set_option(std::string_view part, CudaOptions& options) {
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) refuse(part);
  const std::string_view name = part.substr(0, equals);
  const std::string value(part.substr(equals + 1));
  if (name == "products" && value == "float32") {
    options.products = CudaOptions::Products::Float32;
  } else if (name == "products" && value == "fp16x3") {
    options.products = CudaOptions::Products::Half3;
  } else if (name == "fused" && (value == "0" || value == "4" || value == "16" || value == "32")) {
    options.fused = std::atoi(value.c_str());
  } else if (name == "loops" && (value == "0" || value == "1")) {
    options.loops = value == "1";
  } else if (name == "tapeMb") {
    char* end = nullptr;
    const double megabytes = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !std::isfinite(megabytes) || megabytes < 0) refuse(part);
    options.tape_megabytes = megabytes;
  } else {
    refuse(part);
  }
}

}  // namespace

CudaOptions parse_cuda_options(std::string_view text) {
  CudaOptions options;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    set_option(part, options);
    text.remove_prefix(part.size());
    if (!text.empty()) text.remove_prefix(1);
  }
  return options;
}

CudaOptions process_cuda_options() {
  const char* const text = std::getenv(kVariable);
  return text ? parse_cuda_options(text) : CudaOptions();
}

}  // namespace ffjord::cuda
