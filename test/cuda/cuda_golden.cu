// The CUDA engine against the golden vectors, on a card or emulated. Takes the folder, by default
// test/golden.
#include "test/cuda/engine.h"
#include "test/native/engine_golden.h"

int main(int argc, char** argv) {
  return checks::with_cuda_engine([&](const ffjord::Engine& engine) {
    return checks::check_golden(engine, argc > 1 ? argv[1] : "test/golden", false);
  });
}
