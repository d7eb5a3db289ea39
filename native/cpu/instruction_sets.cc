#include <array>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "cpu/isa.h"

namespace ffjord::cpu {
namespace {

using namespace std::string_view_literals;

// Names, the best first. It has no destructor, as threads look at it until the process ends.
class InstructionSets {
 public:
  void add(std::string_view name) { names_[count_++] = name; }
  std::span<const std::string_view> names() const { return {names_.data(), count_}; }

 private:
  std::array<std::string_view, 3> names_;
  std::size_t count_ = 0;
};

InstructionSets usable_sets() {
  InstructionSets sets;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    sets.add("avx512"sv);
  if (avx2) sets.add("avx2"sv);
#endif
  sets.add("baseline"sv);
  return sets;
}

std::string joined(std::span<const std::string_view> names) {
  std::string text;
  for (std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

InstructionSets chosen_sets() {
  const InstructionSets usable = usable_sets();
  const char* wanted = std::getenv("FFJORD_CPU");
  if (!wanted || !*wanted) return usable;
  for (std::string_view name : usable.names()) {
    if (name != wanted) continue;
    InstructionSets chosen;
    chosen.add(name);
    return chosen;
  }
  throw Error(ErrorCode::Unsupported, "FFJORD_CPU=" + std::string(wanted) +
                                          " is not an instruction set of this processor; it has " +
                                          joined(usable.names()));
}

}  // namespace

std::span<const std::string_view> instruction_sets() {
  static const InstructionSets sets = chosen_sets();
  return sets.names();
}

namespace {

void require_usable(std::string_view instruction_set) {
  for (std::string_view name : instruction_sets())
    if (name == instruction_set) return;
  throw Error(ErrorCode::Unsupported,
              "no instruction set named " + std::string(instruction_set) + " here");
}

}  // namespace

std::unique_ptr<TileNet> make_tile_net(std::string_view instruction_set,
                                       const BlockContext<float>& context,
                                       ConvolutionMethod method) {
  require_usable(instruction_set);
#if defined(__x86_64__)
  if (instruction_set == "avx512"sv) return avx512::make_net(context, method);
  if (instruction_set == "avx2"sv) return avx2::make_net(context, method);
#endif
  return baseline::make_net(context, method);
}

std::unique_ptr<FeedForwardTile> make_feed_forward_tile(std::string_view instruction_set,
                                                        const FeedForwardPlace<float>& place) {
  require_usable(instruction_set);
#if defined(__x86_64__)
  if (instruction_set == "avx512"sv) return avx512::make_feed_forward(place);
  if (instruction_set == "avx2"sv) return avx2::make_feed_forward(place);
#endif
  return baseline::make_feed_forward(place);
}

DenseMapKernels dense_map_kernels(std::string_view instruction_set) {
  require_usable(instruction_set);
#if defined(__x86_64__)
  if (instruction_set == "avx512"sv) return avx512::dense_map();
  if (instruction_set == "avx2"sv) return avx2::dense_map();
#endif
  return baseline::dense_map();
}

}  // namespace ffjord::cpu
