// What the addon keeps for one JavaScript environment (the main thread, or one worker thread of
// Node). There is no other mutable state, so the addon may be loaded by many threads at once.
#pragma once

#include <memory>
#include <unordered_set>

#include "binding/mailbox.h"
#include "binding/napi_setup.h"
#include "binding/worker.h"

namespace ffjord::binding {

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  /// Registers itself with `env`, to stop all threads before JavaScript goes away.
  static std::shared_ptr<Environment> open(Napi::Env env);

  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  const Napi::FunctionReference& tape_class() const { return tape_class_; }
  const Napi::FunctionReference& rows_class() const { return rows_class_; }
  const Napi::FunctionReference& images_class() const { return images_class_; }
  /// The constructors of numbers' arrays as they were when the addon was loaded.
  const Napi::FunctionReference& array_class(napi_typedarray_type type) const {
    return type == napi_uint32_array    ? uint32_array_
           : type == napi_float64_array ? float64_array_
                                        : float32_array_;
  }

  void add(Worker& worker) { workers_.insert(&worker); }
  void remove(Worker& worker) { workers_.erase(&worker); }

 private:
  explicit Environment(Napi::Env env);
  void close();

  const std::shared_ptr<Mailbox> mailbox_;
  Napi::FunctionReference tape_class_, rows_class_, images_class_, uint32_array_, float32_array_,
      float64_array_;
  std::unordered_set<Worker*> workers_;
};

}  // namespace ffjord::binding
