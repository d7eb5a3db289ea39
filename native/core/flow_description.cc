#include "core/flow_description.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

// The shape of an image after so many squeezes.
std::vector<int> squeezed(const std::vector<int>& shape, int times) {
  return {shape[0] << 2 * times, shape[1] >> times, shape[2] >> times};
}

// One chain of a net's layers, at samples of this shape.
NetPlan plan_branch(const Net& net, const std::vector<int>& shape) {
  std::vector<LinearMap> maps;
  Plane plane = net.convolutional() ? Plane{shape[1], shape[2]} : Plane{};
  int in = shape[0];
  for (std::size_t l = 0; l <= net.hidden.size(); ++l) {
    const int out = l < net.hidden.size() ? net.hidden[l] : shape[0];
    maps.push_back(net.convolutional() ? LinearMap::convolve(net.convolutions[l], in, out, plane)
                                       : LinearMap::dense(in, out));
    in = out;
    plane = maps.back().plane_out;
  }
  return plan_net(net.layer, net.activation, maps);
}

[[noreturn]] void refuse(std::size_t block, const std::string& message) {
  throw Error(ErrorCode::InvalidArgument, "blocks[" + std::to_string(block) + "]: " + message);
}

std::string text_of(const std::vector<int>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

void check_context(std::size_t block, const Net& net, const Conditioning& context) {
  if (context.gates && !row_of(net.layer).form.gate)
    refuse(block, "context.gates needs layers with gates; use layer 'concatsquash' or 'squash'");
  if (context.amortised && net.convolutional())
    refuse(block, "amortised numbers are for dense nets; leave net.strides out");
  const LayerForm& form = row_of(net.layer).form;
  if (context.amortised && (form.gate || form.second_map || form.hypernet))
    refuse(block, "amortised numbers are added to the same W and b at all t, which " +
                      std::string(name_of(net.layer)) +
                      " layers do not have; use layer 'concat', 'concat_v2' or 'ignore'");
}

// A convolution has taps, moves on, and does not reach beyond its padding by more than itself:
// these bounds also keep its sizes from overflowing.
void check_convolution(std::size_t block, const Convolution& convolution) {
  const auto [kernel, stride, padding, output_padding, transposed] = convolution;
  constexpr int most = 1 << 10;
  if (kernel.height < 1 || kernel.width < 1 || kernel.height > most || kernel.width > most)
    refuse(block, "a kernel of net.strides has 1 to 1024 rows and columns");
  if (stride < 1 || stride > most)
    refuse(block, "a stride of net.strides is a number from 1 to 1024");
  if (padding < 0 || padding > std::max(kernel.height, kernel.width))
    refuse(block, "padding in net.strides is at least 0 and at most the kernel");
  if (output_padding < 0 || output_padding >= stride)
    refuse(block, "output padding in net.strides is at least 0 and less than the stride");
  if (output_padding > 0 && !transposed)
    refuse(block, "output padding in net.strides belongs to transposed convolutions");
}

void check_scales(std::size_t block, int scales, const std::vector<int>& shape) {
  if (scales < 1) refuse(block, "net.parallel must be at least 1");
  const int step = scales <= 30 ? 1 << (scales - 1) : 0;
  if (step == 0 || shape[1] % step || shape[2] % step)
    refuse(block, "net.parallel of " + std::to_string(scales) +
                      " halves the image so often that its sides must be multiples of 2^" +
                      std::to_string(scales - 1) + "; here the image is " + text_of(shape));
}

void check_net(std::size_t block, const Net& net, const std::vector<int>& shape) {
  const LayerForm& form = row_of(net.layer).form;
  const int layers = static_cast<int>(net.hidden.size()) + 1;
  for (int width : net.hidden)
    if (width < 1)
      refuse(block, "net.hidden holds " + std::to_string(width) + "; widths are at least 1");
  if (net.spectral_norm < 0) refuse(block, "net.spectral_norm must not be negative");
  if (net.spectral_norm > 0 && form.hypernet)
    refuse(block,
           "spectral norm divides by the norm of every weight matrix, and those of hyper layers "
           "start at 0; use another layer, or no spectral norm");
  if (net.zero_last && (form.hypernet || net.spectral_norm > 0))
    refuse(block,
           "a last layer of zeros needs a weight of its own, which hyper layers and spectral "
           "norm do not leave it; leave net.zero_last out");
  if (!net.convolutional()) {
    if (net.scales > 1)
      refuse(block, "net.parallel is for convolutions; give net.strides, or leave it out");
    if (form.coordinates)
      refuse(block, "concatcoord layers are convolutions; give net.strides, or use layer 'concat'");
    if (shape.size() != 1)
      refuse(block, "a dense net takes samples of shape [D], and here they are " + text_of(shape) +
                        "; give net.strides for a convolutional net, or flatten the data");
    return;
  }
  if (shape.size() != 3)
    refuse(block,
           "net.strides asks for convolutions, which take samples of shape [channels, height, "
           "width]; here they are " +
               text_of(shape));
  if (form.hypernet)
    refuse(block,
           "hyper layers are dense; convolutions take ignore, concat, concat_v2, concatcoord, "
           "squash, concatsquash or blend");
  if (int(net.convolutions.size()) != layers)
    refuse(block, "net.strides needs one entry a layer: " + std::to_string(layers));
  for (const Convolution& convolution : net.convolutions) check_convolution(block, convolution);
  check_scales(block, net.scales, shape);
  for (int squeezes = 0; squeezes < net.scales; ++squeezes) {
    const std::vector<int> view = squeezed(shape, squeezes);
    const LinearMap end = plan_branch(net, view).last().map;
    if (end.plane_out != Plane{view[1], view[2]})
      refuse(block, "net.strides must bring the image back to " + text_of(view));
  }
}

void check_support(std::size_t block, const Support& support, std::size_t size) {
  if (support.lower.size() != size || support.upper.size() != size)
    refuse(block, "lower and upper need " + std::to_string(size) + " numbers each");
  for (std::size_t i = 0; i < size; ++i)
    if (!(support.lower[i] < support.upper[i]))
      refuse(block, "lower must lie below upper, and does not at " + std::to_string(i));
}

void check_whiten(std::size_t block, const Whiten& whiten, std::size_t size) {
  if (whiten.mean.size() != size || whiten.matrix.size() != size * size)
    refuse(block, "mean needs " + std::to_string(size) + " numbers, and matrix " +
                      std::to_string(size * size));
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = i; j < size; ++j) {
      const double entry = whiten.matrix[i * size + j];
      if (i == j ? !(entry > 0) : entry != 0)
        refuse(block,
               "matrix must be lower triangular with a positive diagonal, such as the inverse of a "
               "covariance's Cholesky factor");
    }
}

std::vector<int> shape_after(std::size_t index, const Block& block, const Conditioning& context,
                             std::vector<int> shape) {
  if (const auto* cnf = std::get_if<Cnf>(&block)) {
    if (!(cnf->time > 0) || !std::isfinite(cnf->time))
      refuse(index, "time must be a positive number");
    check_net(index, cnf->net, shape);
    check_context(index, cnf->net, context);
  } else if (const auto* norm = std::get_if<BatchNorm>(&block)) {
    if (shape.size() != 1)
      refuse(index, "batch_norm takes samples of shape [D]; here they are " + text_of(shape));
    if (!(norm->lag >= 0 && norm->lag < 1)) refuse(index, "lag must lie in [0, 1)");
  } else if (const auto* logit = std::get_if<Logit>(&block)) {
    if (!(logit->alpha >= 0 && logit->alpha < 0.5)) refuse(index, "alpha must lie in [0, 0.5)");
  } else if (const auto* standardize = std::get_if<Standardize>(&block)) {
    const std::size_t size = element_count(shape);
    if (standardize->mean.size() != size || standardize->scale.size() != size)
      refuse(index, "mean and scale need " + std::to_string(size) + " numbers each");
    for (double mean : standardize->mean)
      if (!std::isfinite(mean)) refuse(index, "mean must hold finite numbers");
    for (double scale : standardize->scale)
      if (!(scale > 0) || !std::isfinite(scale))
        refuse(index, "scale must hold positive numbers; drop constant columns");
  } else if (const auto* support = std::get_if<Support>(&block)) {
    check_support(index, *support, element_count(shape));
  } else if (const auto* whiten = std::get_if<Whiten>(&block)) {
    check_whiten(index, *whiten, element_count(shape));
  } else if (std::holds_alternative<Squeeze>(block)) {
    if (shape.size() != 3 || shape[1] % 2 || shape[2] % 2)
      refuse(index, "squeeze takes [channels, height, width] with even height and width; here " +
                        text_of(shape));
    shape = {4 * shape[0], shape[1] / 2, shape[2] / 2};
  } else if (std::holds_alternative<Split>(block)) {
    if (shape.size() != 3 || shape[0] % 2)
      refuse(index, "split takes [channels, height, width] with an even number of channels; here " +
                        text_of(shape));
    shape[0] /= 2;
  }
  return shape;
}

/// Returns how many numbers there are.
std::size_t place_amortised_terms(NetPlan& plan, int rank) {
  std::size_t count = 0;
  const auto place = [&](std::size_t size) { return std::exchange(count, count + size); };
  for (LayerPlan& layer : plan.layers) {
    layer.amortised.rank = rank;
    if (rank > 0) {
      layer.amortised.left = place(std::size_t(rank) * layer.in());
      layer.amortised.right = place(std::size_t(rank) * layer.out());
    }
    layer.amortised.bias = place(layer.out());
  }
  return count;
}

}  // namespace

int amortised_size(const Net& net, int dimension, int rank) {
  NetPlan plan = plan_net(net, {dimension}, {});
  return static_cast<int>(place_amortised_terms(plan, rank));
}

std::vector<std::vector<int>> validate(const FlowDescription& flow) {
  if (flow.shape.empty())
    throw Error(ErrorCode::InvalidArgument, "shape needs at least one number");
  for (int size : flow.shape)
    if (size < 1)
      throw Error(ErrorCode::InvalidArgument,
                  "shape holds " + std::to_string(size) + "; sizes are at least 1");
  if (flow.blocks.empty())
    throw Error(ErrorCode::InvalidArgument, "blocks is empty; a flow needs at least one block");
  if (flow.context.size < 0 || (flow.context.gates && flow.context.size == 0))
    throw Error(ErrorCode::InvalidArgument, "context.size must be at least 1");
  std::vector<std::vector<int>> shapes = {flow.shape};
  for (std::size_t i = 0; i < flow.blocks.size(); ++i)
    shapes.push_back(shape_after(i, flow.blocks[i], flow.context, shapes.back()));
  return shapes;
}

bool is_fixed(const Block& block) {
  return !std::holds_alternative<Cnf>(block) && !std::holds_alternative<BatchNorm>(block) &&
         !std::holds_alternative<Split>(block);
}

bool is_bounded(const Block& block) {
  return std::holds_alternative<Logit>(block) || std::holds_alternative<Support>(block);
}

std::size_t element_count(const std::vector<int>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

std::optional<Convolution> find_convolution(int stride) {
  switch (stride) {
    case 0:
      return Convolution{.kernel = {1, 1}};
    case 1:
      return Convolution{.kernel = {3, 3}, .stride = 1, .padding = 1};
    case 2:
      return Convolution{.kernel = {4, 4}, .stride = 2, .padding = 1};
    case -2:
      return Convolution{.kernel = {4, 4}, .stride = 2, .padding = 1, .transposed = true};
    default:
      return std::nullopt;
  }
}

NetPlan plan_net(const Net& net, const std::vector<int>& shape, const Conditioning& context) {
  NetPlan plan = plan_branch(net, shape);
  for (int squeezes = 1; squeezes < net.scales; ++squeezes) {
    add_branches(plan, plan_branch(net, squeezed(shape, squeezes)));
    plan.branches.back().squeezes = squeezes;
  }
  plan.residual = net.residual;
  plan.spectral_norm = net.spectral_norm;
  plan.context_size = context.size;
  plan.zero_last = net.zero_last;
  if (context.amortised) {
    place_amortised_terms(plan, context.rank);
    return plan;
  }
  for (const Branch& branch : plan.branches) {
    plan.layers[branch.first].context_moves_bias = context.size > 0;
    for (std::size_t l = branch.first; l + 1 < branch.end; ++l)
      plan.layers[l].context_moves_gate = context.gates;
  }
  return plan;
}

std::vector<NetPlan> plan_nets(const FlowDescription& flow) {
  const auto shapes = validate(flow);
  std::vector<NetPlan> plans;
  for (std::size_t i = 0; i < flow.blocks.size(); ++i)
    if (const auto* cnf = std::get_if<Cnf>(&flow.blocks[i]))
      plans.push_back(plan_net(cnf->net, shapes[i], flow.context));
  return plans;
}

}  // namespace ffjord
