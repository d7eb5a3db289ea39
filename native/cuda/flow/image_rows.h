// Images of a training run that stay on the device: bytes, of which every visit makes rows there.
#pragma once

#include <memory>
#include <span>

#include "core/device_memory.h"
#include "cuda/device/flow_stream.h"

namespace ffjord::cuda {

/// `run` maps single elements. `stream` outlives the images.
std::unique_ptr<DeviceImages<float>> keep_images(const ImageBytes& images,
                                                 std::span<const Block> run,
                                                 const FlowStream& stream);

}  // namespace ffjord::cuda
