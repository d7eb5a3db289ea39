#include "binding/requests.h"

#include <algorithm>
#include <limits>

#include "core/tableau.h"

namespace ffjord::binding {
namespace {

constexpr std::uint64_t kLargestWord = std::numeric_limits<std::uint32_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kLargestInt = std::numeric_limits<int>::max();
constexpr double kMostElements = 0x1p31;  // of one sample, in any layer
constexpr double kMostWeights = 0x1p31;
constexpr std::size_t kMostLayers = 1 << 16;  // each has tensors with names of their own

constexpr Choices<TraceMode, 3> kTraceModes{{
    {"auto", TraceMode::Auto},
    {"exact", TraceMode::Exact},
    {"hutchinson", TraceMode::Hutchinson},
}};
constexpr Choices<TraceForm, 2> kTraceForms{
    {{"tangent", TraceForm::Tangent}, {"vjp", TraceForm::Vjp}}};
constexpr Choices<NoiseLaw, 2> kTraceNoises{
    {{"gaussian", NoiseLaw::Gaussian}, {"rademacher", NoiseLaw::Rademacher}}};
constexpr Choices<Control, 3> kControls{
    {{"batch", Control::Batch}, {"tile", Control::Tile}, {"sample", Control::Sample}}};
constexpr Choices<Controller, 2> kControllers{
    {{"pi", Controller::Pi}, {"torchdiffeq", Controller::Torchdiffeq}}};
constexpr Choices<GradientMethod, 2> kGradientMethods{
    {{"checkpoint", GradientMethod::Checkpoint}, {"adjoint", GradientMethod::Adjoint}}};
constexpr Choices<AdjointNorm, 2> kAdjointNorms{
    {{"full", AdjointNorm::Full}, {"seminorm", AdjointNorm::Seminorm}}};
constexpr Choices<OptimizerType, 4> kOptimizers{{
    {"adam", OptimizerType::Adam},
    {"adamw", OptimizerType::AdamW},
    {"adamax", OptimizerType::Adamax},
    {"sgd", OptimizerType::Sgd},
}};
constexpr Choices<NoiseLaw, 3> kNoiseLaws{{
    {"gaussian", NoiseLaw::Gaussian},
    {"rademacher", NoiseLaw::Rademacher},
    {"uniform", NoiseLaw::Uniform},
}};
constexpr Choices<LevelLaw, 5> kLevelLaws{{
    {"none", LevelLaw::Share},
    {"centre", LevelLaw::Centre},
    {"uniform", LevelLaw::Uniform},
    {"truncated-normal", LevelLaw::TruncatedNormal},
    {"bernoulli", LevelLaw::Bernoulli},
}};
constexpr Choices<Buffer, 6> kBuffers{{
    {"parameters", Buffer::Parameters},
    {"gradients", Buffer::Gradients},
    {"statistics", Buffer::Statistics},
    {"firstMoment", Buffer::FirstMoment},
    {"secondMoment", Buffer::SecondMoment},
    {"average", Buffer::Average},
}};

// A value on its own, not a field of an object.
template <class Value, std::size_t count>
Value choose(const Napi::Value& value, const char* name, const Choices<Value, count>& choices) {
  const std::string given = short_text(value, name);
  std::string known;
  for (const auto& [candidate, choice] : choices) {
    if (candidate == given) return choice;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  refuse("unknown " + std::string(name) + " '" + given + "'; known: " + known);
}

// An entry is a number (`find_convolution`) or the geometry itself.
std::vector<Convolution> convolutions(const Fields& fields) {
  std::vector<Convolution> convolutions;
  for (const Napi::Value& value : fields.list("strides", kMostLayers)) {
    if (value.IsNumber()) {
      const double number = finite_number(value, fields.path("strides"));
      const auto known = std::abs(number) <= 2 ? find_convolution(int(number)) : std::nullopt;
      if (!known || number != int(number))
        refuse(fields.path("strides") +
               " holds a number other than 1, 2, -2 and 0; give { kernel, "
               "stride, padding } for other convolutions");
      convolutions.push_back(*known);
      continue;
    }
    const Fields at(value, "strides", &fields);
    const auto whole = [&](const char* name) { return int(at.integer(name, 0, 1024)); };
    const std::vector<int> kernel = at.integers("kernel", 1, 1024);
    if (kernel.size() != 2) refuse(at.path("kernel") + " must hold its height and its width");
    convolutions.push_back({{kernel[0], kernel[1]},
                            whole("stride"),
                            whole("padding"),
                            whole("outputPadding"),
                            at.flag("transposed")});
  }
  return convolutions;
}

Block block(const Fields& fields) {
  const std::string type = fields.text("type");
  if (type == "cnf")
    return Cnf{fields.number("time"), fields.flag("trainTime"),
               net_description(fields.object("net"))};
  if (type == "batch_norm") return BatchNorm{fields.number("lag")};
  if (type == "logit") return Logit{fields.number("alpha")};
  if (type == "zero_mean") return ZeroMean{};
  if (type == "standardize") return Standardize{fields.numbers("mean"), fields.numbers("scale")};
  if (type == "support")
    return Support{fields.numbers_or("lower", -kInfinity), fields.numbers_or("upper", kInfinity)};
  if (type == "whiten") return Whiten{fields.numbers("mean"), fields.numbers("matrix")};
  if (type == "squeeze") return Squeeze{};
  if (type == "split") return Split{};
  refuse(
      "unknown " + fields.path("type") + " '" + type +
      "'; known: cnf, batch_norm, logit, zero_mean, standardize, support, whiten, squeeze, split");
}

// Rows of an image behind a convolution, in float64, which does not wrap around.
double length_out(double in, double taps, const Convolution& at) {
  if (at.transposed) return (in - 1) * at.stride + taps + at.output_padding;
  return (in + 2.0 * at.padding - taps) / at.stride + 1;
}

// An upper bound of the weights of one chain of layers, and a check of the sizes inside it.
double chain_bound(const Net& net, std::vector<double> shape, double context) {
  const LayerForm& form = row_of(net.layer).form;
  const bool convolutional = shape.size() == 3 && net.convolutional();
  const double ends = shape[0];
  double weights = 0;
  for (std::size_t l = 0; l <= net.hidden.size(); ++l) {
    const double out = l < net.hidden.size() ? net.hidden[l] : ends;
    double taps = 1, area = 1;
    if (convolutional && l < net.convolutions.size()) {
      const Convolution& at = net.convolutions[l];
      taps = double(at.kernel.size());
      shape[1] = length_out(shape[1], at.kernel.height, at);
      shape[2] = length_out(shape[2], at.kernel.width, at);
      area = shape[1] * shape[2];
    }
    const double matrix = (shape[0] + context + 4) * out * taps;
    weights += form.hypernet     ? (kHypernetUnits + 1) * matrix
               : form.second_map ? 2 * matrix
                                 : matrix + 3 * out;
    shape[0] = out;
    if (out * area > kMostElements)
      refuse("a layer of this net has over 2^31 outputs; use fewer units or channels");
  }
  return weights;
}

double weight_bound(const Net& net, std::vector<double> shape, double context) {
  double weights = chain_bound(net, shape, context);
  if (shape.size() != 3) return weights;
  for (int squeezes = 1; squeezes < std::min(net.scales, 31); ++squeezes) {
    shape = {4 * shape[0], shape[1] / 2, shape[2] / 2};
    weights += chain_bound(net, shape, context);
  }
  return weights;
}

void check_sizes(const FlowDescription& flow) {
  std::vector<double> shape(flow.shape.begin(), flow.shape.end());
  double elements = 1, weights = 0;
  std::size_t layers = 0;
  for (double size : shape) elements *= size;
  if (shape.empty() || elements > kMostElements)
    refuse("description.shape must hold 1 to 2^31 elements");
  for (const Block& block : flow.blocks) {
    if (const auto* cnf = std::get_if<Cnf>(&block)) {
      weights += weight_bound(cnf->net, shape, flow.context.size);
      layers += (cnf->net.hidden.size() + 1) * cnf->net.scales;
    }
    if (std::holds_alternative<BatchNorm>(block)) weights += 5 * elements;
    if (std::holds_alternative<Squeeze>(block) && shape.size() == 3)
      shape = {4 * shape[0], shape[1] / 2, shape[2] / 2};
    if (std::holds_alternative<Split>(block)) shape[0] /= 2;
  }
  if (weights > kMostWeights) refuse("this flow would have over 2^31 weights; use narrower layers");
  if (layers > kMostLayers) refuse("this flow would have over 2^16 layers; use fewer");
}

// c of every row (B, C); empty where C = 0.
HostArray context(const Fields& fields, const FlowDescription& flow, std::size_t batch) {
  HostArray values = fields.array_or_empty("context", ArrayUse::Copy);
  check_size(values, fields.path("context"), context_size(flow, batch));
  return values;
}

}  // namespace

Net net_description(const Fields& fields) {
  Net net;
  net.hidden = fields.integers("hidden", 1, kLargestInt);
  net.layer = parse_layer(fields.text("layer"));
  net.activation = parse_activation(fields.text("activation"));
  net.residual = fields.flag("residual");
  net.convolutions = convolutions(fields);
  net.scales = static_cast<int>(fields.integer("parallel", 1, 30));
  net.zero_last = fields.flag("zeroLast");
  net.spectral_norm = static_cast<int>(fields.integer("spectralNorm", 0, 1000));
  return net;
}

FlowDescription flow_description(const Napi::Value& value) {
  const Fields fields(value, "description");
  FlowDescription flow;
  flow.shape = fields.integers("shape", 1, kLargestInt);
  const auto blocks = fields.list("blocks", 4096);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string name = "blocks[" + std::to_string(i) + "]";
    flow.blocks.push_back(block(Fields(blocks[i], name, &fields)));
  }
  if (fields.has("context")) {
    const Fields context = fields.object("context");
    flow.context = {static_cast<int>(context.integer("size", 1, kLargestInt)),
                    context.flag("gates")};
  }
  check_sizes(flow);
  return flow;
}

TraceOptions trace_options(const Fields& trace) {
  TraceOptions options;
  options.mode = trace.choice("mode", kTraceModes);
  options.noise = trace.choice("noise", kTraceNoises);
  options.probes = static_cast<int>(trace.integer("probes", 1, 65535));  // 16 bits of a noise key
  options.form = trace.choice("form", kTraceForms);
  options.bottleneck = trace.flag("bottleneck");
  options.lattice = static_cast<int>(trace.integer("lattice", 0, 1024));
  return options;
}

SolverOptions solver_options(const Fields& solver) {
  SolverOptions options;
  options.tableau = &tableau(solver.text("method"));
  options.rtol = solver.number("rtol");
  options.atol = solver.number("atol");
  options.steps = static_cast<int>(solver.integer("steps", 0, kLargestInt));
  options.control = solver.choice("control", kControls);
  options.controller = solver.choice("controller", kControllers);
  options.max_attempts = static_cast<int>(solver.integer("maxAttempts", 1, kLargestInt));

  if (options.rtol < 0 || options.atol < 0) refuse("rtol and atol must not be negative");
  if (!options.tableau->adaptive && options.steps < 1)
    refuse(solver.path("steps") + " must be at least 1 with " + std::string(options.tableau->name));
  return options;
}

SettingsRequest settings_request(const Fields& settings) {
  SettingsRequest request;
  request.settings.trace = trace_options(settings.object("trace"));

  request.settings.steer = settings.number("steer");
  const Fields regularize = settings.object("regularize");
  for (const Regulariser& one : regulariser_table()) {
    if (!regularize.has(one.name.data())) continue;
    request.settings.regularisers.add(one.name);
    request.weights.push_back(regularize.number(one.name.data()));
  }

  request.settings.solver = solver_options(settings.object("solver"));
  const Fields gradient = settings.object("gradient");
  request.settings.gradient = {gradient.choice("method", kGradientMethods),
                               gradient.choice("norm", kAdjointNorms)};
  return request;
}

OptimizerOptions optimizer_options(const Fields& optimizer) {
  OptimizerOptions options;
  options.type = optimizer.choice("type", kOptimizers);
  options.learning_rate = optimizer.number("learningRate");
  options.beta1 = optimizer.number("beta1");
  options.beta2 = optimizer.number("beta2");
  options.epsilon = optimizer.number("epsilon");
  options.momentum = optimizer.number("momentum");
  options.weight_decay = optimizer.number("weightDecay");
  options.clip_norm = optimizer.number("clipNorm");
  options.average_decay = optimizer.number("averageDecay");
  options.step = static_cast<long>(optimizer.integer("step", 1, kLargestInt));
  return options;
}

NoiseKey noise_key(const Fields& key) {
  return {key.integer("seed", 0, kLargestInteger),
          static_cast<std::uint32_t>(key.integer("call", 0, kLargestWord)),
          static_cast<std::uint32_t>(key.integer("block", 0, 0xFFFF)),
          static_cast<std::uint32_t>(key.integer("probe", 0, 0xFFFF))};
}

VisitRule visit_rule(const Fields& fields) {
  VisitRule rule;
  rule.law = fields.choice("law", kLevelLaws);
  rule.flip = fields.flag("flip");
  rule.seed = fields.integer("seed", 0, kLargestInteger);
  rule.is_draw = fields.has("draw");
  if (rule.is_draw) rule.draw = static_cast<std::uint32_t>(fields.integer("draw", 0, kLargestWord));
  rule.width = static_cast<std::uint32_t>(fields.integer("width", 1, kLargestWord));
  return rule;
}

NoiseLaw noise_law(const Napi::Value& value) { return choose(value, "noise law", kNoiseLaws); }
Buffer buffer(const Napi::Value& value) { return choose(value, "buffer", kBuffers); }

NoiseRequest noise_request(const Fields& fields, std::size_t cnf_blocks) {
  NoiseRequest request;
  request.noise.seed = fields.integer("seed", 0, kLargestInteger);
  request.noise.call = static_cast<std::uint32_t>(fields.integer("call", 0, kLargestWord));
  request.noise.row_offset =
      static_cast<std::uint32_t>(fields.integer("rowOffset", 0, kLargestWord));
  request.noise.by_values = fields.flag_or_false("byValues");
  if (fields.has("keys")) {
    const std::vector<std::uint32_t> words = fields.indices("keys");
    for (std::size_t i = 0; i + 1 < words.size(); i += 2)
      request.noise.keys.push_back({words[i], words[i + 1]});
  }
  if (!fields.has("given")) return request;
  const auto given = fields.list("given", cnf_blocks);
  if (given.size() != cnf_blocks && !given.empty())
    refuse(fields.path("given") + " needs one array a CNF block: " + std::to_string(cnf_blocks));
  for (const Napi::Value& eps : given) {
    request.given.emplace_back(eps, fields.path("given"), ArrayUse::Copy);
    request.noise.given.push_back(request.given.back().view());
  }
  return request;
}

std::size_t context_size(const FlowDescription& flow, std::size_t batch) {
  return batch * static_cast<std::size_t>(flow.context.size);
}

SolveCall solve_call(const Fields& fields, const FlowDescription& flow) {
  SolveCall call;
  // Rows are numbered by 32-bit words in the noise.
  call.request.batch = fields.integer("batch", 1, kLargestWord);
  call.float64 = fields.flag_or_false("float64");
  NoiseRequest noise = noise_request(fields.object("noise"), cnf_count(flow));
  call.request.noise = std::move(noise.noise);
  call.given = std::move(noise.given);
  const SettingsRequest settings = settings_request(fields.object("settings"));
  call.request.settings = settings.settings;
  call.weights = settings.weights;
  call.context = context(fields, flow, call.request.batch);
  call.request.context = call.context.view();
  return call;
}

void SolveCall::take_rows(const Fields& call, std::size_t sample_size, ArrayUse use) {
  rows = call.array("rows", use);
  check_size(rows, call.path("rows"), request.batch * sample_size);
  request.rows = rows.view();
}

VelocityCall velocity_call(const Fields& fields, const FlowDescription& flow) {
  const std::size_t blocks = cnf_count(flow);
  VelocityCall call;
  call.request.block = static_cast<int>(fields.integer("block", 0, blocks == 0 ? 0 : blocks - 1));
  call.request.batch = fields.integer("batch", 1, kLargestWord);
  call.request.times = fields.doubles("times");
  call.steer = fields.number("steer");
  call.request.trace = trace_options(fields.object("trace"));
  call.float64 = fields.flag_or_false("float64");
  NoiseRequest noise = noise_request(fields.object("noise"), 1);
  call.request.noise = std::move(noise.noise);
  call.given = std::move(noise.given);
  call.z = fields.array("z", ArrayUse::Copy);
  call.request.z = call.z.view();
  call.context = context(fields, flow, call.request.batch);
  call.request.context = call.context.view();
  return call;
}

std::size_t cnf_count(const FlowDescription& flow) {
  return std::count_if(flow.blocks.begin(), flow.blocks.end(),
                       [](const Block& block) { return std::holds_alternative<Cnf>(block); });
}

void check_size(const HostArray& array, const std::string& name, std::size_t size) {
  if (array.size() != size)
    refuse(name + " must hold " + std::to_string(size) + " numbers, and " +
           std::to_string(array.size()) + " were given");
}

}  // namespace ffjord::binding
