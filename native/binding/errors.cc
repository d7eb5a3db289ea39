#include "binding/errors.h"

#include <new>

namespace ffjord::binding {
namespace {

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "INVALID_ARGUMENT";
    case ErrorCode::Unsupported:
      return "UNSUPPORTED";
    case ErrorCode::SolveFailed:
      return "SOLVE_FAILED";
    case ErrorCode::Cancelled:
      return "CANCELLED";
    case ErrorCode::OutOfMemory:
      return "OUT_OF_MEMORY";
  }
  return "INTERNAL";
}

Napi::Error make(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

}  // namespace

void refuse(const std::string& message) { throw Error(ErrorCode::InvalidArgument, message); }

Napi::Error to_javascript(Napi::Env env, const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Napi::Error& error) {
    return error;
  } catch (const SolveFailure& failure) {
    Napi::Error error = make(env, name_of(failure.code), failure.what());
    error.Set("t", failure.t);
    error.Set("h", failure.h);
    error.Set("block", static_cast<double>(failure.block));
    auto rows = Napi::Array::New(env, failure.rows.size());
    for (std::uint32_t i = 0; i < failure.rows.size(); ++i)
      rows.Set(i, static_cast<double>(failure.rows[i]));
    error.Set("rows", rows);
    return error;
  } catch (const Error& error) {
    return make(env, name_of(error.code), error.what());
  } catch (const Disposed& error) {
    return make(env, "DISPOSED", error.what());
  } catch (const std::bad_alloc&) {
    return make(
        env, "OUT_OF_MEMORY",
        "not enough memory; use a smaller batch, or gradient 'adjoint' if it is a gradient");
  } catch (const std::length_error&) {
    return make(env, "OUT_OF_MEMORY", "an array of this size cannot exist; use a smaller batch");
  } catch (const std::exception& error) {
    return make(env, "INTERNAL", error.what());
  } catch (...) {
    return make(env, "INTERNAL", "unknown failure in the core");
  }
}

}  // namespace ffjord::binding
