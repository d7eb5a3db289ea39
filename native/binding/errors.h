// Where an exception of the core becomes a JavaScript Error with a `code`.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "binding/napi_setup.h"
#include "core/errors.h"

namespace ffjord::binding {

[[noreturn]] void refuse(const std::string& message);  ///< throws Error(InvalidArgument)

/// The code of such a name; PeerLost where JavaScript alone has it.
ErrorCode error_code(const std::string& name);

/// All that `code` of an Error may be; lib/native/errors.ts has the same list.
std::vector<std::string> error_codes();

/// The Error that JavaScript sees, with a `code`; SOLVE_FAILED carries t, h, block and rows.
/// Errors that JavaScript itself threw (in a getter) come back as they are.
Napi::Error to_javascript(Napi::Env env, const std::exception_ptr& exception);

/// Runs `body` on the JavaScript thread and throws what it throws as a JavaScript Error.
template <class Body>
auto guarded(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (...) {
    throw to_javascript(env, std::current_exception());
  }
}

}  // namespace ffjord::binding
