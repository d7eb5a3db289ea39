// The only place that includes <napi.h>, so that every file of the binding agrees on its settings.
#pragma once

#define NAPI_VERSION 9
// Any std::exception that leaves a callback becomes a JavaScript error, never an abort.
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL
// A worker thread that is being terminated takes no more errors; dropping them beats aborting.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#define NODE_ADDON_API_DISABLE_DEPRECATED
#define NODE_ADDON_API_REQUIRE_BASIC_FINALIZERS
// Results are arrays of JavaScript's own memory: transferable, visible to its garbage collector.
#define NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED

#include <napi.h>
