// A flow as a chain of blocks on one device, which keeps the weights. An engine adds that device
// and its ContinuousBlock and is whole.
#pragma once

#include <memory>
#include <optional>

#include "core/engine.h"
#include "core/host_device.h"

namespace ffjord {

/// Validates the description and initialises the weights from `seed`; without one they are zeros.
template <class Real>
std::unique_ptr<Flow> make_flow(const FlowDescription& description,
                                std::optional<std::uint64_t> seed,
                                std::unique_ptr<FlowDevice<Real>> device);

extern template std::unique_ptr<Flow> make_flow(const FlowDescription&,
                                                std::optional<std::uint64_t>,
                                                std::unique_ptr<FlowDevice<float>>);
extern template std::unique_ptr<Flow> make_flow(const FlowDescription&,
                                                std::optional<std::uint64_t>,
                                                std::unique_ptr<FlowDevice<double>>);

/// The same on the host.
template <class Real>
std::unique_ptr<Flow> make_host_flow(const FlowDescription& description,
                                     std::optional<std::uint64_t> seed, HostMakers<Real> makers) {
  return make_flow<Real>(description, seed, std::make_unique<HostDevice<Real>>(std::move(makers)));
}

}  // namespace ffjord
