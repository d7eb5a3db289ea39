#include "binding/errors.h"

#include <algorithm>
#include <array>

#include "binding/values.h"
#include "core/as_error.h"

namespace ffjord::binding {
namespace {

// In the order of ErrorCode.
constexpr std::array kNames = {"INVALID_ARGUMENT", "UNSUPPORTED", "SOLVE_FAILED",
                               "OUTSIDE_SUPPORT",  "CANCELLED",   "OUT_OF_MEMORY",
                               "DISPOSED",         "PEER_LOST",   "INTERNAL"};
static_assert(kNames.size() == static_cast<std::size_t>(ErrorCode::Internal) + 1);

Napi::Error make(Napi::Env env, ErrorCode code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  define(error.Value(), "code", kNames[static_cast<std::size_t>(code)]);
  return error;
}

void define_rows(const Napi::Error& error, const std::vector<std::size_t>& rows) {
  define(error.Value(), "rows",
         array_of(error.Env(), rows, [](std::size_t row) { return static_cast<double>(row); }));
}

}  // namespace

ErrorCode error_code(const std::string& name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  return found == kNames.end() ? ErrorCode::PeerLost
                               : static_cast<ErrorCode>(found - kNames.begin());
}

std::vector<std::string> error_codes() { return {kNames.begin(), kNames.end()}; }

void refuse(const std::string& message) { throw Error(ErrorCode::InvalidArgument, message); }

Napi::Error to_javascript(Napi::Env env, const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Napi::Error& error) {
    return error;
  } catch (const SolveFailure& failure) {
    Napi::Error error = make(env, failure.code, failure.what());
    define(error.Value(), "t", failure.t);
    define(error.Value(), "h", failure.h);
    define(error.Value(), "block", static_cast<double>(failure.block));
    define_rows(error, failure.rows);
    return error;
  } catch (const OutsideSupport& outside) {
    Napi::Error error = make(env, outside.code, outside.what());
    define_rows(error, outside.rows);
    return error;
  } catch (const std::exception& other) {
    const Error error = as_error(other);
    return make(env, error.code, error.what());
  } catch (...) {
    return make(env, ErrorCode::Internal, "unknown failure in the core");
  }
}

}  // namespace ffjord::binding
