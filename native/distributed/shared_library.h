// A library that is opened while the program runs, so that nothing needs it to build or to start.
#pragma once

#include <memory>
#include <string>

namespace ffjord::distributed {

class SharedLibrary {
 public:
  /// Throws Error(Unsupported) with the loader's reason. The library stays open to the end of the
  /// process: those of MPI and NCCL have threads, and handlers of the process' end.
  explicit SharedLibrary(const std::string& name);

  const std::string& name() const { return name_; }
  /// Where it was found, or its name.
  std::string path(const char* symbol) const;

  /// Null where it has no such symbol.
  void* find(const char* symbol) const;
  /// The function `symbol`; throws Error(Unsupported) where the library has none.
  template <class Function>
  void load(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(require(symbol));
  }

 private:
  void* require(const char* symbol) const;

  const std::string name_;
  void* const handle_;
};

}  // namespace ffjord::distributed
