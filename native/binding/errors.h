// Where an exception of the core becomes a JavaScript Error with a `code`.
#pragma once

#include <exception>
#include <string>

#include "binding/napi_setup.h"
#include "core/errors.h"

namespace ffjord::binding {

/// A call on a flow after dispose().
class Disposed : public std::runtime_error {
 public:
  Disposed() : std::runtime_error("the flow was disposed; create or load it again") {}
};

[[noreturn]] void refuse(const std::string& message);  ///< throws Error(InvalidArgument)

/// The Error that JavaScript sees: `code` is INVALID_ARGUMENT, UNSUPPORTED, SOLVE_FAILED,
/// CANCELLED, OUT_OF_MEMORY, DISPOSED or INTERNAL; SOLVE_FAILED carries t, h, block and rows.
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
