// A variational autoencoder whose parts lie on one device, which keeps the weights.
#pragma once

#include <memory>
#include <optional>

#include "core/flow_device.h"
#include "core/vae.h"

namespace ffjord {

/// Weights are drawn from `seed`; without one they are zeros. Throws Error(InvalidArgument) for
/// parts that do not fit together, Error(Unsupported) for those that the device has not.
template <class Real>
std::unique_ptr<Vae> make_vae(const VaeDescription& description, std::optional<std::uint64_t> seed,
                              std::unique_ptr<FlowDevice<Real>> device);

extern template std::unique_ptr<Vae> make_vae(const VaeDescription&, std::optional<std::uint64_t>,
                                              std::unique_ptr<FlowDevice<float>>);
extern template std::unique_ptr<Vae> make_vae(const VaeDescription&, std::optional<std::uint64_t>,
                                              std::unique_ptr<FlowDevice<double>>);

}  // namespace ffjord
