// How the engine computes where it has a choice: for measurements, for checks, and for cards that
// nobody has measured. A flow is made with its options and keeps them (docs/cuda.md).
#pragma once

#include <optional>
#include <string_view>

namespace ffjord::cuda {

struct CudaOptions {
  enum class Products {
    Float32,  ///< "float32": on the ordinary multipliers; fused tiles use no tensor cores either
    Half3     ///< "fp16x3": three float16 products each, where the card has tensor cores for them
  };
  /// `products`: the arithmetic of large products.
  Products products = Products::Half3;
  /// `fused`: rows of the tiles where one launch takes a whole solve: 4, which are of float32, 16
  /// (8 of a solve with an odd number of tangents) or 32; 0: every solve goes layer by layer. None:
  /// the engine chooses by the batch.
  std::optional<int> fused;
  /// `loops`: whether the device drives the attempts of a solve by itself.
  bool loops = true;
  /// `tapeMb`: the most MiB of evaluations that a solve keeps for its pullback. None: a quarter of
  /// the free memory.
  std::optional<double> tape_megabytes;
};

/// The options that a text names, as "products=float32,fused=16,loops=0,tapeMb=0"; the others are
/// as the engine has them. Throws Error(InvalidArgument).
CudaOptions parse_cuda_options(std::string_view text);

/// What FFJORD_CUDA_OPTIONS says for the whole process.
CudaOptions process_cuda_options();

}  // namespace ffjord::cuda
