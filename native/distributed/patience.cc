#include "distributed/patience.h"

#include <cmath>
#include <string>
#include <thread>

namespace ffjord::distributed {

using std::chrono::microseconds;
using std::chrono::steady_clock;

void Patience::wait() {
  const auto waited = steady_clock::now() - began_;
  if (waited < microseconds(20)) return;
  if (waited < microseconds(200)) return std::this_thread::yield();
  std::this_thread::sleep_for(waited < microseconds(20'000) ? microseconds(20) : microseconds(200));
}

bool Patience::over(double seconds) const {
  return std::chrono::duration<double>(steady_clock::now() - began_).count() > seconds;
}

OthersAreLate::OthersAreLate(int rank, double seconds)
    : Error(ErrorCode::PeerLost,
            "rank " + std::to_string(rank) + " waited for the others longer than " +
                std::to_string(std::lround(seconds)) +
                " s: one of them hangs, or its work takes longer; look at their machines and go on "
                "from the last checkpoint, or give the group a longer deadline") {}

}  // namespace ffjord::distributed
