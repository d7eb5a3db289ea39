// The CPU engine against the golden vectors of dense flows. Takes the folder, by default
// test/golden.
#include "cpu/cpu_engine.h"
#include "test/native/engine_golden.h"

int main(int argc, char** argv) {
  return checks::check_golden(ffjord::cpu::engine(), argc > 1 ? argv[1] : "test/golden", true);
}
