#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/isa.h"

namespace ffjord::cpu {
namespace {

using namespace std::string_view_literals;

std::vector<std::string_view> usable_sets() {
  std::vector<std::string_view> sets;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    sets.push_back("avx512"sv);
  if (avx2) sets.push_back("avx2"sv);
#endif
  sets.push_back("baseline"sv);
  return sets;
}

std::string joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::vector<std::string_view> chosen_sets() {
  const std::vector<std::string_view> usable = usable_sets();
  const char* wanted = std::getenv("FFJORD_CPU");
  if (!wanted || !*wanted) return usable;
  for (std::string_view name : usable)
    if (name == wanted) return {name};
  throw Error(ErrorCode::Unsupported, "FFJORD_CPU=" + std::string(wanted) +
                                          " is not an instruction set of this processor; it has " +
                                          joined(usable));
}

}  // namespace

std::span<const std::string_view> instruction_sets() {
  static const std::vector<std::string_view> sets = chosen_sets();
  return sets;
}

std::unique_ptr<TileNet> make_tile_net(std::string_view instruction_set,
                                       const BlockContext<float>& context) {
  for (std::string_view name : instruction_sets()) {
    if (name != instruction_set) continue;
#if defined(__x86_64__)
    if (name == "avx512"sv) return avx512::make_net(context);
    if (name == "avx2"sv) return avx2::make_net(context);
#endif
    return baseline::make_net(context);
  }
  throw Error(ErrorCode::Unsupported,
              "no instruction set named " + std::string(instruction_set) + " here");
}

}  // namespace ffjord::cpu
