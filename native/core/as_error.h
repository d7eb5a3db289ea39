// What exceptions of the C++ library mean here; one place, so that they mean the same in this
// process and on the other ranks of a group.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "core/errors.h"

namespace ffjord {

inline Error as_error(const std::exception& failure) {
  if (const auto* own = dynamic_cast<const Error*>(&failure)) return *own;
  if (dynamic_cast<const std::bad_alloc*>(&failure))
    return {ErrorCode::OutOfMemory,
            "not enough memory; use a smaller batch, or gradient 'adjoint' if it is a gradient"};
  if (dynamic_cast<const std::length_error*>(&failure))
    return {ErrorCode::OutOfMemory, "an array of this size cannot exist; use a smaller batch"};
  if (dynamic_cast<const std::system_error*>(&failure))
    return {ErrorCode::OutOfMemory,
            std::string("the system gives no further thread (") + failure.what() +
                "); dispose of flows that are not needed, or raise its limit"};
  return {ErrorCode::Internal, failure.what()};
}

}  // namespace ffjord
