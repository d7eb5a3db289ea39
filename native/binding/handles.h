// JavaScript handles of things that stay here: what a solve keeps for its pullback, uploaded rows,
// and the means to stop a call. Each carries a type tag, so that a foreign object is an error.
#pragma once

#include <memory>
#include <stop_token>

#include "binding/arguments.h"
#include "core/engine.h"
#include "core/vae.h"

namespace ffjord::binding {

/// The tape of a solve; the flow lives as long as its tapes, whose data may lie in its memory.
struct KeptTape {
  using Model = Flow;
  std::shared_ptr<Flow> model;
  std::unique_ptr<Tape> tape;  // freed before the flow
  std::size_t batch = 0;
  std::size_t regularisers = 0;
  std::stop_source stop;  // the solve's own; engines heed it in pullbacks, too
};

/// Rows that a model keeps; it lives as long as they.
template <class Owner>
struct KeptRows {
  using Model = Owner;
  std::shared_ptr<Owner> model;
  std::unique_ptr<Rows> rows;
};

/// `Kept` is shared with calls under way, so that release() and garbage collection never wait.
template <class Kept>
class Handle : public Napi::ObjectWrap<Handle<Kept>> {
 public:
  static Napi::Function define(Napi::Env env);

  /// Empty, that is released, unless keep() follows; this is all that JavaScript can construct.
  explicit Handle(const Napi::CallbackInfo& info);

  /// A new object that holds `kept`, which takes about `bytes`.
  static Napi::Object create(const Napi::FunctionReference& constructor,
                             std::shared_ptr<const Kept> kept, std::size_t bytes);
  /// What `value` holds. Throws Error(InvalidArgument) if it is no such handle, was released or
  /// belongs to another model.
  static std::shared_ptr<const Kept> of(const Napi::Value& value,
                                        const typename Kept::Model* model);

  void Finalize(Napi::BasicEnv env) override;

 private:
  void release(const Napi::CallbackInfo& info);
  void forget(Napi::BasicEnv env);

  std::shared_ptr<const Kept> kept_;
  std::int64_t bytes_ = 0;
};

using TapeHandle = Handle<KeptTape>;
using RowsHandle = Handle<KeptRows<Flow>>;
using ImagesHandle = Handle<KeptRows<Vae>>;

/// What JavaScript holds to stop calls that were started with it.
class StopHandle : public Napi::ObjectWrap<StopHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit StopHandle(const Napi::CallbackInfo& info);

  /// The source of the call's `stop`, or one of its own.
  static std::stop_source of(const Fields& call);

 private:
  void request(const Napi::CallbackInfo& info);

  std::stop_source source_;
};

}  // namespace ffjord::binding
