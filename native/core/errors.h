// What every engine throws. The binding maps these to a JavaScript FfjordError in one place.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace ffjord {

enum class ErrorCode {
  InvalidArgument,
  Unsupported,
  SolveFailed,
  Cancelled,
  OutOfMemory,
  Disposed,  ///< a call on a flow that was given up
  Internal   ///< anything else
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code(code) {}
  const ErrorCode code;
};

/// Refuses a caller's argument.
inline void require(bool condition, const std::string& message) {
  if (!condition) throw Error(ErrorCode::InvalidArgument, message);
}

/// A solve that cannot go on: at which t, with which h, on which rows, and what to try.
class SolveFailure : public Error {
 public:
  SolveFailure(const std::string& message, double t, double h)
      : Error(ErrorCode::SolveFailed, message), t(t), h(h) {}
  const double t, h;
  int block = -1;  ///< index in the flow's list of blocks; -1 until the chain knows
  std::vector<std::size_t>
      rows;  ///< rows of the batch that are not finite or far over tolerance; may be cut
};

}  // namespace ffjord
