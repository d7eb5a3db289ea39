// JavaScript objects → what the core is asked of an autoencoder. The field names are those of
// lib/native/interface.ts.
#pragma once

#include "binding/requests.h"
#include "core/vae.h"

namespace ffjord::binding {

VaeDescription vae_description(const Napi::Value& value);

/// A call on images, `images` (B, D) among its fields.
struct VaeCall {
  VaeRequest request;  ///< views into what follows
  bool float64 = false;
  HostArray images, eps;
};
VaeCall vae_call(const Fields& call, const VaeLayout& layout);

}  // namespace ffjord::binding
