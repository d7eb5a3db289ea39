#include "core/packed_failure.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/as_error.h"

namespace ffjord {
namespace {

enum class Kind : std::uint32_t { Plain, Solve, Outside };

// Rows that a message carries at most.
constexpr std::size_t kMostRows = 64;

class Packer {
 public:
  template <class Value>
  Packer& add(const Value& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Packer& add_text(const std::string& text) {
    add(std::uint64_t(text.size()));
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Packer& add_rows(const std::vector<std::size_t>& rows) {
    const std::size_t count = std::min(rows.size(), kMostRows);
    add(std::uint64_t(count));
    for (std::size_t i = 0; i < count; ++i) add(std::uint64_t(rows[i]));
    return *this;
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Unpacker {
 public:
  explicit Unpacker(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <class Value>
  Value next() {
    Value value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }
  std::string text() {
    const auto count = next<std::uint64_t>();
    const std::string text(reinterpret_cast<const char*>(bytes_.data()), count);
    bytes_ = bytes_.subspan(count);
    return text;
  }
  std::vector<std::size_t> rows() {
    std::vector<std::size_t> rows(next<std::uint64_t>());
    for (std::size_t& row : rows) row = next<std::uint64_t>();
    return rows;
  }

 private:
  std::span<const std::byte> bytes_;
};

Packer begin(Kind kind, ErrorCode code, const std::string& message) {
  Packer packer;
  packer.add(kind).add(std::int32_t(code)).add_text(message);
  return packer;
}

}  // namespace

std::vector<std::byte> packed(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const SolveFailure& solve) {
    return begin(Kind::Solve, solve.code, solve.what())
        .add(solve.t)
        .add(solve.h)
        .add(solve.block)
        .add_rows(solve.rows)
        .take();
  } catch (const OutsideSupport& outside) {
    return begin(Kind::Outside, outside.code, outside.reason())
        .add(outside.by_weights)
        .add_rows(outside.rows)
        .take();
  } catch (const std::exception& other) {
    const Error error = as_error(other);
    return begin(Kind::Plain, error.code, error.what()).take();
  } catch (...) {
    return begin(Kind::Plain, ErrorCode::Internal, "unknown failure").take();
  }
}

std::exception_ptr unpacked(std::span<const std::byte> bytes, int rank) {
  Unpacker from(bytes);
  const auto kind = from.next<Kind>();
  const auto code = static_cast<ErrorCode>(from.next<std::int32_t>());
  const std::string text = from.text(), message = "on rank " + std::to_string(rank) + ": " + text;
  if (kind == Kind::Solve) {
    const double t = from.next<double>(), h = from.next<double>();
    SolveFailure failure(message, t, h);
    failure.block = from.next<int>();
    failure.rows = from.rows();
    return std::make_exception_ptr(failure);
  }
  if (kind == Kind::Outside) {
    const bool by_weights = from.next<bool>();
    return std::make_exception_ptr(OutsideSupport(from.rows(), text, by_weights));
  }
  return std::make_exception_ptr(Error(code, message));
}

}  // namespace ffjord
