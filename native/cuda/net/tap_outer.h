// P of a 3 × 3 convolution (weight_gradient.h) on prepared operands: for each tap the product of
// cotangents with inputs so many pixels further on, summed over all pixels.
//
// What is summed over are places: pixels of all images, values first, whose rows are padded with
// zeros to whole octets, a row of zeros behind each image, images to whole chunks. A tap that leads
// to another row then begins at another octet; those to the next column would cut octets, so that
// inputs are there three times, moved by a place. Scales may not differ between what the taps of a
// chunk meet: a unit has one for all of an image.
#pragma once

#include "cuda/net/weight_gradient.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

int tap_outer_slices(const OuterArguments& arguments);
std::size_t tap_outer_floats(const OuterArguments& arguments);
void sum_tap_products(const OuterArguments& arguments, const Stream& stream);

}  // namespace ffjord::cuda
