// The solvers on a JavaScript function.
#pragma once

#include "binding/napi_setup.h"

namespace ffjord::binding {

/// (f, y0, times, solver) → { y, statistics }, on the caller's thread; lib/native/interface.ts has
/// the types.
Napi::Value odeint(const Napi::CallbackInfo& info);

}  // namespace ffjord::binding
