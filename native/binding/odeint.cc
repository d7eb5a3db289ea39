#include "binding/odeint.h"

#include "binding/requests.h"
#include "binding/results.h"
#include "reference/integrate.h"

namespace ffjord::binding {
namespace {

// f(t, y) of JavaScript as the right-hand side of a system. It gets a fresh array each time, so
// that it may keep it.
class JavaScriptField {
 public:
  JavaScriptField(const Environment& environment, const Napi::Function& f, std::size_t size)
      : environment_(environment), f_(f), size_(size) {}

  void operator()(double t, std::span<const double> y, std::span<double> rate) const {
    const Napi::Env env = f_.Env();
    const Napi::HandleScope scope(env);
    const NewArray state = new_array(env, environment_, size_, true);
    state.output.assign(y);
    const Napi::Value result = f_.Call({Napi::Number::New(env, t), state.value});
    const HostArray values(result, "the result of f", ArrayUse::Borrow);
    check_size(values, "the result of f", size_);
    values.view().copy_to(rate);
  }

 private:
  const Environment& environment_;
  const Napi::Function f_;
  const std::size_t size_;
};

}  // namespace

Napi::Value odeint(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsFunction()) refuse("f must be a function of (t, y)");
  const HostArray y0(info[1], "y0", ArrayUse::Copy), times_array(info[2], "times", ArrayUse::Copy);
  const std::vector<double> times = times_array.view().as<double>();
  if (y0.size() == 0 || times.empty()) refuse("y0 and times must not be empty");
  const SolverOptions options = solver_options(Fields(info[3], "solver"));
  require_supported(options, {}, {}, false);

  const auto& environment = *static_cast<Environment*>(info.Data());
  const std::size_t size = y0.size();
  const NewArray states = new_array(env, environment, product_of_sizes({times.size(), size}), true);
  const reference::System system{size,
                                 1,
                                 {{0, 1, size, true}},
                                 JavaScriptField(environment, info[0].As<Napi::Function>(), size)};
  std::vector<double> y = y0.view().as<double>();
  SolveStatistics statistics;
  reference::Watch watch;
  watch.times = times;
  watch.on_time = [&](std::size_t i, std::span<const double> state) {
    states.output.subspan(i * size, size).assign(state);
  };
  reference::integrate(system, options, {}, times.front(), times.back(), y, watch, statistics);

  auto result = Napi::Object::New(env);
  define(result, "y", states.value);
  define(result, "statistics", statistics_object(env, statistics));
  return result;
}

}  // namespace ffjord::binding
