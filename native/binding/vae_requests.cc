#include "binding/vae_requests.h"

#include <limits>

namespace ffjord::binding {
namespace {

constexpr std::uint64_t kLargestWord = std::numeric_limits<std::uint32_t>::max();
constexpr int kLargestSide = 1 << 16;
constexpr std::size_t kMostLayers = 1 << 12;

constexpr Choices<Likelihood, 2> kLikelihoods{
    {{"bernoulli", Likelihood::Bernoulli}, {"categorical", Likelihood::Categorical}}};
constexpr Choices<SylvesterBasis, 3> kBases{{
    {"orthogonal", SylvesterBasis::Orthogonal},
    {"householder", SylvesterBasis::Householder},
    {"triangular", SylvesterBasis::Triangular},
}};

int small(const Fields& fields, const char* name, int least, int most = kLargestSide) {
  return static_cast<int>(fields.integer(name, least, most));
}

ConvolutionLayer convolution(const Fields& fields) {
  const std::vector<int> kernel = fields.integers("kernel", 1, kLargestSide);
  if (kernel.size() != 2) refuse(fields.path("kernel") + " needs a height and a width");
  return {small(fields, "channels", 1),
          {.kernel = {kernel[0], kernel[1]},
           .stride = small(fields, "stride", 1),
           .padding = small(fields, "padding", 0),
           .output_padding = small(fields, "outputPadding", 0),
           .transposed = fields.flag("transposed")}};
}

void add_layer(const Fields& fields, FeedForwardDescription& net) {
  const std::string type = fields.text("type");
  if (type == "reshape") {
    net.push_back(Reshape{fields.integers("shape", 1, std::numeric_limits<int>::max())});
    return;
  }
  TrainedLayer layer;
  if (type == "dense")
    layer.map = DenseLayer{small(fields, "units", 1, 1 << 28)};
  else if (type == "convolution")
    layer.map = convolution(fields);
  else
    refuse("unknown " + fields.path("type") + " '" + type +
           "'; known: dense, convolution, reshape");
  layer.gated = fields.flag("gated");
  layer.activation = parse_activation(fields.text("activation"));
  net.push_back(layer);
}

FeedForwardDescription net(const Fields& description, const char* part) {
  FeedForwardDescription net;
  const auto layers = description.list(part, kMostLayers);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string name = std::string(part) + "[" + std::to_string(i) + "]";
    add_layer(Fields(layers[i], name, &description), net);
  }
  return net;
}

PosteriorKind posterior(const Fields& fields) {
  const std::string type = fields.text("type");
  if (type == "none") return NoFlow{};
  if (type == "planar") return Planar{small(fields, "flows", 1)};
  if (type == "iaf")
    return InverseAutoregressive{small(fields, "flows", 1), small(fields, "width", 1)};
  if (type == "sylvester")
    return Sylvester{fields.choice("basis", kBases), small(fields, "flows", 1),
                     small(fields, "vectors", 1)};
  if (type.starts_with("cnf")) {
    Continuous kind;
    kind.block = {fields.number("time"), false, net_description(fields.object("net"))};
    kind.blocks = small(fields, "blocks", 1);
    kind.rank = small(fields, "rank", 0);
    if (type == "cnf") return kind;
    kind.amortisation = kind.rank > 0 ? Amortisation::LowRank : Amortisation::Biases;
    if (type == (kind.rank > 0 ? "cnf_rank" : "cnf_bias")) return kind;
  }
  refuse("unknown " + fields.path("type") + " '" + type +
         "'; known: none, planar, iaf, sylvester, cnf, cnf_bias, cnf_rank of a rank");
}

}  // namespace

VaeDescription vae_description(const Napi::Value& value) {
  const Fields fields(value, "description");
  VaeDescription vae;
  vae.shape = fields.integers("shape", 1, 1 << 28);
  vae.likelihood = fields.choice("likelihood", kLikelihoods);
  vae.latent = small(fields, "latent", 1);
  vae.encoder = net(fields, "encoder");
  vae.decoder = net(fields, "decoder");
  vae.head = net(fields, "head");
  vae.posterior = posterior(fields.object("posterior"));
  if (fields.has("variance")) {
    const Fields bounds = fields.object("variance");
    vae.variance = {bounds.number("least"), bounds.number("most")};
  }
  return vae;
}

VaeCall vae_call(const Fields& fields, const VaeLayout& layout) {
  VaeCall call;
  call.request.batch = fields.integer("batch", 1, kLargestWord);
  call.float64 = fields.flag_or_false("float64");
  call.request.binarize = fields.flag("binarize");
  call.request.noise = noise_request(fields.object("noise"), 0).noise;
  const std::size_t keys = call.request.noise.keys.size();
  if (keys != 0 && keys != call.request.batch)
    refuse(fields.path("noise") + ".keys must hold two words an image");
  call.request.settings = settings_request(fields.object("settings")).settings;
  call.eps = fields.array_or_empty("eps", ArrayUse::Copy);
  if (call.eps.size() != 0)
    check_size(call.eps, fields.path("eps"), call.request.batch * layout.posterior.latent);
  call.request.eps = call.eps.view();
  call.images = fields.array("images", ArrayUse::Copy);
  check_size(call.images, fields.path("images"), call.request.batch * layout.image_size());
  call.request.images = call.images.view();
  return call;
}

}  // namespace ffjord::binding
