// The float64 engine in plain loops: the specification in code, and the oracle of the tests.
#pragma once

#include "core/engine.h"

namespace ffjord::reference {

Engine engine();

}  // namespace ffjord::reference
