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
  OutsideSupport,
  Cancelled,
  OutOfMemory,
  Disposed,  ///< a call on a flow that was given up
  PeerLost,  ///< a process of the group did not come, or went its own way
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

/// What becomes of rows that a transform does not map.
enum class Outside {
  Refuse,      ///< throws OutsideSupport
  Improbable,  ///< Δlogp becomes ∞ forward, so that log p is −∞; z is that of another row
};

/// Rows at which a transform is not defined: no base point maps to them, so that their density is
/// 0.
class OutsideSupport : public Error {
 public:
  /// `rows` ascend, and are not empty; `reason` is a sentence about the first of them.
  OutsideSupport(std::vector<std::size_t> rows, const std::string& reason, bool by_weights)
      : Error(ErrorCode::OutsideSupport, text(rows, reason)),
        rows(std::move(rows)),
        by_weights(by_weights),
        reason_(reason) {}

  const std::vector<std::size_t> rows;
  /// Whether a block with weights moved them there, so that other weights may not.
  const bool by_weights;
  const std::string& reason() const { return reason_; }

  /// The same under other numbers of the rows.
  template <class Number>
  OutsideSupport renumbered(const Number& number) const {
    std::vector<std::size_t> numbers;
    for (std::size_t row : rows) numbers.push_back(number(row));
    return {std::move(numbers), reason_, by_weights};
  }

 private:
  static std::string text(const std::vector<std::size_t>& rows, const std::string& reason) {
    constexpr std::size_t most = 8;
    std::string list;
    for (std::size_t i = 0; i < rows.size() && i < most; ++i)
      list += (i > 0 ? ", " : "") + std::to_string(rows[i]);
    if (rows.size() > most) list += " and " + std::to_string(rows.size() - most) + " more";
    return (rows.size() == 1 ? "row " + list + " lies" : "rows " + list + " lie") +
           " outside of the support of this density: in row " + std::to_string(rows.front()) + " " +
           reason;
  }

  const std::string reason_;
};

}  // namespace ffjord
