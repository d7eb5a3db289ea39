#include "distributed/shared_library.h"

#include <dlfcn.h>

#include "core/errors.h"

namespace ffjord::distributed {
namespace {

void* open(const std::string& name) {
  void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle) return handle;
  const char* const reason = dlerror();
  throw Error(ErrorCode::Unsupported, reason ? reason : name + " does not open");
}

}  // namespace

SharedLibrary::SharedLibrary(const std::string& name) : name_(name), handle_(open(name)) {}

std::string SharedLibrary::path(const char* symbol) const {
  Dl_info found;
  void* const address = find(symbol);
  return address && dladdr(address, &found) != 0 && found.dli_fname ? found.dli_fname : name_;
}

void* SharedLibrary::find(const char* symbol) const { return dlsym(handle_, symbol); }

void* SharedLibrary::require(const char* symbol) const {
  void* const found = find(symbol);
  if (!found) throw Error(ErrorCode::Unsupported, name_ + " has no " + symbol);
  return found;
}

}  // namespace ffjord::distributed
