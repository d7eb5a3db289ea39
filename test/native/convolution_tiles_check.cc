// The convolutional kernels of the cpu engine against the reference engine, on every instruction
// set of this processor: geometries, kinds, activations, forms of the divergence, regularisers, one
// t and one a row, contexts; values, divergences, regularisers and all cotangents.
#include <cmath>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "core/initial_values.h"
#include "core/parameters.h"
#include "cpu/tile_net.h"
#include "reference/dynamics.h"
#include "test/native/flow_case.h"
#include "test/native/tile_net_case.h"

namespace {

using namespace ffjord;
using checks::Report;
using checks::Vector;
using Floats = std::vector<float>;

struct ConvolutionCase {
  std::string name;
  NetPlan plan;
  TracePlan trace = check::trace(Divergence::Tangent, 1);
  Regularisers regularisers = {};
  bool own_times = false;
  cpu::ConvolutionMethod method = cpu::ConvolutionMethod::Fastest;
};

// What an evaluation and its pullback give, as rows.
template <class Real>
struct Results {
  std::vector<Real> f, divergence, regularisers, z_bar, context_bar, gradients, times_bar;
};

// Numbers that float32 holds.
struct Inputs {
  Vector parameters, z, eps, times, context, f_bar, divergence_bar, regularisers_bar;

  Inputs(const ConvolutionCase& c, const NetPlan& net, const ParameterLayout& layout,
         std::size_t batch) {
    std::mt19937_64 generator(7);
    const auto draw = [&](std::size_t count, double scale) {
      Vector values = checks::normals(count, generator, scale);
      for (double& value : values) value = static_cast<float>(value);
      return values;
    };
    const std::size_t dimension = net.size_in();
    InitialParameters first(layout, 3);
    first.draw(net);
    parameters = first.values();
    const Vector moved = draw(parameters.size(), 0.1);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i] = static_cast<float>(parameters[i] + moved[i]);
    z = draw(batch * dimension, 1);
    eps = draw(c.trace.exact() ? 0 : c.trace.probes * batch * dimension, 1);
    context = draw(batch * net.context_size, 1);
    f_bar = draw(batch * dimension, 1);
    divergence_bar = draw(batch, 1);
    regularisers_bar = draw(batch * c.regularisers.count(), 1);
    times = draw(c.own_times ? batch : 1, 0.5);
  }
};

Results<double> reference_results(const ConvolutionCase& c, const BlockOffsets& block,
                                  const Inputs& in, std::size_t batch) {
  const NetPlan& net = block.net;
  const std::size_t dimension = net.size_in(), context_size = net.context_size;
  const std::size_t integrands = c.regularisers.count();
  const reference::Dynamics dynamics({block, in.parameters});
  Results<double> out{Vector(batch * dimension),    Vector(batch),
                      Vector(batch * integrands),   Vector(batch * dimension),
                      Vector(batch * context_size), Vector(in.parameters.size()),
                      Vector(in.times.size())};
  const std::size_t together = c.own_times ? 1 : batch;
  for (std::size_t first = 0; first < batch; first += together) {
    const auto part = [&](auto& values, std::size_t width) {
      return std::span(values).subspan(first * width, together * width);
    };
    Vector eps;
    for (int k = 0; !in.eps.empty() && k < c.trace.probes; ++k) {
      const double* from = &in.eps[(k * batch + first) * dimension];
      eps.insert(eps.end(), from, from + together * dimension);
    }
    const std::size_t time = c.own_times ? first : 0;
    const reference::Point point{in.times[time], together, part(in.z, dimension), eps,
                                 part(in.context, context_size)};
    const reference::DynamicsPlan plan{c.trace, c.regularisers};
    dynamics.evaluate(
        plan, point,
        {part(out.f, dimension), part(out.divergence, 1), part(out.regularisers, integrands)});
    out.times_bar[time] += dynamics.pullback(plan, point,
                                             {part(in.f_bar, dimension), part(in.divergence_bar, 1),
                                              part(in.regularisers_bar, integrands)},
                                             part(out.z_bar, dimension), out.gradients,
                                             part(out.context_bar, context_size));
  }
  return out;
}

Results<float> kernel_results(const ConvolutionCase& c, const BlockOffsets& block, const Inputs& in,
                              std::size_t batch, std::string_view set, Report& report) {
  const NetPlan& net = block.net;
  const std::size_t dimension = net.size_in(), context_size = net.context_size;
  const std::size_t integrands = c.regularisers.count();
  const Floats parameters(in.parameters.begin(), in.parameters.end());
  const auto kernels = cpu::make_tile_net(set, {block, parameters}, c.method);
  const std::size_t rows = kernels->rows();
  const auto time = kernels->make_time_slot(c.trace);
  const auto memory = kernels->make_activations(c.trace, c.regularisers);
  const auto gradient = kernels->make_gradient_slot(c.trace);
  gradient->clear();
  Results<float> out{Floats(batch * dimension),    Floats(batch),
                     Floats(batch * integrands),   Floats(batch * dimension),
                     Floats(batch * context_size), Floats(parameters.size()),
                     Floats(in.times.size())};
  if (!c.own_times) kernels->set_time(*time, in.times[0]);
  const float poison = std::nanf("");
  double t_bar = 0;
  for (std::size_t first = 0; first < batch; first += rows) {
    const auto tile = [&](const Vector& values, std::size_t width) {
      return check::to_tile({values.begin(), values.end()}, batch, first, rows, width);
    };
    const auto store = [&](const Floats& values, std::size_t width, Floats& to) {
      for (std::size_t row = 0; row < rows && first + row < batch; ++row)
        for (std::size_t i = 0; i < width; ++i)
          to[(first + row) * width + i] = values[i * rows + row];
    };
    Floats eps;
    for (std::size_t k = 0; k * batch * dimension < in.eps.size(); ++k) {
      const auto begin = in.eps.begin() + k * batch * dimension;
      const Floats probe = tile({begin, begin + batch * dimension}, dimension);
      eps.insert(eps.end(), probe.begin(), probe.end());
    }
    const Floats z = tile(in.z, dimension), context = tile(in.context, context_size);
    const Floats f_bar = tile(in.f_bar, dimension), divergence_bar = tile(in.divergence_bar, 1);
    const Floats regularisers_bar = tile(in.regularisers_bar, integrands);
    Floats f(dimension * rows, poison), divergence(rows, poison), z_bar(dimension * rows, poison),
        regularisers(integrands * rows, poison), terms(kernels->terms() * rows, poison),
        terms_bar(terms.size());
    std::vector<double> times_bar(rows);
    if (c.own_times) kernels->set_times(*time, tile(in.times, 1).data());
    if (context_size > 0) kernels->enter_context(context.data(), terms.data());
    const float* const noise = eps.empty() ? nullptr : eps.data();
    const float* const terms_in = terms.empty() ? nullptr : terms.data();
    cpu::TileArrays arrays{z.data(),
                           noise,
                           f.data(),
                           divergence.data(),
                           integrands > 0 ? regularisers.data() : nullptr,
                           terms_in};
    kernels->evaluate(*time, arrays, *memory, true);
    t_bar += kernels->pullback(*time,
                               {noise, f_bar.data(), divergence_bar.data(),
                                integrands > 0 ? regularisers_bar.data() : nullptr, z_bar.data(),
                                terms.empty() ? nullptr : terms_bar.data()},
                               *memory, gradient.get(), times_bar.data());
    if (context_size > 0) {
      Floats context_bar(context_size * rows);
      kernels->pull_back_context(context.data(), terms_bar.data(), gradient.get(),
                                 context_bar.data());
      store(context_bar, context_size, out.context_bar);
    }
    store(f, dimension, out.f);
    store(divergence, 1, out.divergence);
    store(regularisers, integrands, out.regularisers);
    store(z_bar, dimension, out.z_bar);
    for (std::size_t row = 0; c.own_times && row < rows && first + row < batch; ++row)
      out.times_bar[first + row] = static_cast<float>(times_bar[row]);

    // Without a tape, and values alone, give the same bits.
    const Floats kept_f = f, kept_divergence = divergence;
    kernels->evaluate(*time, arrays, *memory, false);
    report.expect(c.name + ", no tape", f == kept_f && divergence == kept_divergence);
    kernels->evaluate(*time, {.z = z.data(), .f = f.data(), .terms = terms_in}, *memory, false);
    report.expect(c.name + ", values alone", f == kept_f);
  }
  kernels->add_sums(*gradient, 1.f, out.gradients);
  if (!c.own_times) out.times_bar[0] = static_cast<float>(t_bar);
  return out;
}

void check_case(const ConvolutionCase& c, Report& report) {
  constexpr std::size_t kBatch = 19;  // tiles of 32 and of 16 rows, not filled
  ParameterLayout layout;
  BlockOffsets block;
  block.net = layout.add_net("net", c.plan);
  const Inputs inputs(c, block.net, layout, kBatch);
  const Results<double> truth = reference_results(c, block, inputs, kBatch);
  for (std::string_view set : cpu::instruction_sets()) {
    const Results<float> found = kernel_results(c, block, inputs, kBatch, set, report);
    const std::string name = c.name + ", " + std::string(set) + " ";
    const auto compare = [&](const std::string& what, const Floats& values,
                             const Vector& expected) {
      // A single number may be the rest of large ones.
      const double tolerance = values.size() < 8 ? 2e-4 : 2e-5;
      report.expect(name + what,
                    checks::relative_error(Vector(values.begin(), values.end()), expected, 1e-30),
                    tolerance);
    };
    compare("f", found.f, truth.f);
    compare("divergence", found.divergence, truth.divergence);
    compare("regularisers", found.regularisers, truth.regularisers);
    compare("z_bar", found.z_bar, truth.z_bar);
    compare("context_bar", found.context_bar, truth.context_bar);
    compare("times_bar", found.times_bar, truth.times_bar);
    for (const Parameter& parameter : layout.parameters) {
      const auto part = [&](const auto& values) {
        const auto begin = values.begin() + parameter.offset;
        return std::vector(begin, begin + parameter.size);
      };
      compare(parameter.name, part(found.gradients), part(truth.gradients));
    }
  }
}

/// Maps one behind the other, back to the plane and channels of the first.
std::vector<LinearMap> maps_of(int channels, Plane plane,
                               std::initializer_list<std::pair<Convolution, int>> layers) {
  std::vector<LinearMap> maps;
  int in = channels;
  for (const auto& [convolution, out] : layers) {
    maps.push_back(LinearMap::convolve(convolution, in, out, plane));
    in = out;
    plane = maps.back().plane_out;
  }
  return maps;
}

constexpr Convolution square(int kernel, int stride = 1, int padding = 0) {
  return {.kernel = {kernel, kernel}, .stride = stride, .padding = padding};
}
constexpr Convolution up(int kernel, int stride, int padding, int output_padding = 0) {
  return {.kernel = {kernel, kernel},
          .stride = stride,
          .padding = padding,
          .output_padding = output_padding,
          .transposed = true};
}

struct Geometry {
  std::string name;
  std::vector<LinearMap> maps;
};

std::vector<Geometry> geometries() {
  const Convolution same = square(3, 1, 1);
  return {
      {"3x3 on 5x7", maps_of(2, {5, 7}, {{same, 13}, {same, 7}, {same, 2}})},
      {"17 channels on 8x7", maps_of(2, {8, 7}, {{same, 17}, {same, 18}, {same, 16}, {same, 2}})},
      {"16 channels, transposed, on 8x6",
       maps_of(1, {8, 6}, {{same, 16}, {up(3, 1, 1), 19}, {up(3, 1, 1), 1}})},
      {"3x3 on one row", maps_of(1, {1, 4}, {{same, 5}, {same, 1}})},
      {"4x4 down and up on 6x4",
       maps_of(3, {6, 4}, {{square(4, 2, 1), 5}, {same, 14}, {up(4, 2, 1), 3}})},
      {"1x1 and 5x5", maps_of(2, {6, 5}, {{square(1), 9}, {square(5, 1, 2), 6}, {square(1), 2}})},
      {"5x5 of stride 2 with output padding on 8x8",
       maps_of(1, {8, 8}, {{square(5, 2, 2), 6}, {up(5, 2, 2, 1), 1}})},
      {"7x7 whole plane on 7x7", maps_of(2, {7, 7}, {{square(7), 8}, {up(7, 1, 0), 2}})},
      {"uneven",
       maps_of(
           2, {7, 6},
           {{{.kernel = {3, 5}, .stride = 2, .padding = 2}, 3},
            {{.kernel = {3, 2}, .stride = 3, .padding = 1}, 4},
            {{.kernel = {3, 2}, .stride = 3, .padding = 1, .output_padding = 2, .transposed = true},
             3},
            {{.kernel = {2, 2}, .stride = 1}, 3},
            {{.kernel = {3, 3}, .padding = 1, .transposed = true}, 3},
            {{.kernel = {3, 3}, .stride = 1, .transposed = true}, 2}})},
      {"stride beyond the filter", maps_of(2, {9, 9}, {{square(2, 3), 4}, {up(2, 3, 0, 1), 2}})},
  };
}

std::string spelled(LayerKind kind, Activation activation) {
  return ", " + std::string(name_of(kind)) + " " + std::string(name_of(activation));
}

constexpr LayerKind kKinds[] = {LayerKind::Ignore,     LayerKind::Concat,       LayerKind::ConcatV2,
                                LayerKind::Squash,     LayerKind::ConcatSquash, LayerKind::Blend,
                                LayerKind::ConcatCoord};

void check_geometries(Report& report) {
  for (const Geometry& geometry : geometries()) {
    const LinearMap &first = geometry.maps.front(), &last = geometry.maps.back();
    if (first.plane_in != last.plane_out || first.channels_in != last.channels_out) {
      report.expect(geometry.name + " comes back", false);
      continue;
    }
    for (LayerKind kind : kKinds)
      for (bool own : {false, true}) {
        ConvolutionCase c{geometry.name + spelled(kind, Activation::Softplus),
                          plan_net(kind, Activation::Softplus, geometry.maps)};
        c.own_times = own;
        if (own) c.name += ", own times";
        check_case(c, report);
        c.method = cpu::ConvolutionMethod::Direct;
        if (geometry.name.starts_with("1")) check_case(c, report);
      }
    report.finish(geometry.name);
  }
}

void check_activations(Report& report) {
  const std::vector<LinearMap> maps = geometries()[4].maps;
  for (Activation activation :
       {Activation::Tanh, Activation::Softplus, Activation::Elu, Activation::Relu,
        Activation::Swish, Activation::Square, Activation::Identity})
    for (LayerKind kind : {LayerKind::Concat, LayerKind::ConcatSquash})
      check_case({"down and up" + spelled(kind, activation), plan_net(kind, activation, maps)},
                 report);
  report.finish("activations");
}

void check_traces(Report& report) {
  const std::vector<LinearMap> maps =
      maps_of(2, {3, 4}, {{square(3, 1, 1), 5}, {square(3, 1, 1), 2}});
  const int dimension = 24;
  for (LayerKind kind : {LayerKind::Concat, LayerKind::ConcatSquash, LayerKind::Blend})
    for (bool residual : {false, true})
      for (bool own : {false, true}) {
        const auto check_trace = [&](const std::string& name, const TracePlan& trace,
                                     const Regularisers& regularisers) {
          ConvolutionCase c{name + spelled(kind, Activation::Tanh),
                            plan_net(kind, Activation::Tanh, maps), trace, regularisers, own};
          c.plan.residual = residual;
          check_case(c, report);
        };
        for (int probes : {1, 2, 3, 20}) {
          check_trace(std::to_string(probes) + " probes", check::trace(Divergence::Tangent, probes),
                      {"kinetic", "jacobian"});
          check_trace(std::to_string(probes) + " probes, vjp",
                      check::trace(Divergence::Vjp, probes), {"kinetic", "l1int", "l2int"});
        }
        check_trace("exact", check::trace(Divergence::UnitTangents, dimension), {});
        check_trace("lattices", check::trace(Divergence::Lattices, 0), {"kinetic", "l2int"});
        check_trace("exact with regularisers", check::trace(Divergence::UnitTangents, dimension),
                    {"kinetic", "jacobian", "l1int", "l2int", "dl2int", "JFrobint", "JdiagFrobint",
                     "JoffdiagFrobint"});
      }
  report.finish("forms of the divergence, regularisers");
}

void check_branches(Report& report) {
  const Convolution same = square(3, 1, 1);
  for (LayerKind kind : kKinds)
    for (bool own : {false, true})
      for (Divergence divergence :
           {Divergence::Tangent, Divergence::Vjp, Divergence::Lattices, Divergence::UnitTangents}) {
        ConvolutionCase c{
            "branches" + spelled(kind, Activation::Softplus),
            plan_net(kind, Activation::Softplus, maps_of(1, {8, 4}, {{same, 3}, {same, 1}})),
            check::trace(divergence, divergence == Divergence::Vjp ? 2 : 1),
            {"kinetic"},
            own};
        for (int squeezes : {1, 2}) {
          const int channels = squeezes == 1 ? 4 : 16;
          const Plane plane = squeezes == 1 ? Plane{4, 2} : Plane{2, 1};
          add_branches(c.plan, plan_net(kind, Activation::Softplus,
                                        maps_of(channels, plane, {{same, 5}, {same, channels}})));
          c.plan.branches.back().squeezes = squeezes;
        }
        c.plan.residual = own;
        c.plan.context_size = 2;
        for (const Branch& branch : c.plan.branches)
          c.plan.layers[branch.first].context_moves_bias = true;
        check_case(c, report);
      }
  report.finish("branches");
}

/// One 3 × 3 layer of stride 1 on a batch, in plain float32 loops that add one product after the
/// other.
class PlainLayer {
 public:
  PlainLayer(const LinearMap& map, const BlockOffsets& block, const Inputs& in, std::size_t batch)
      : map_(map), at_(block.net.layers.front().offsets), in_(in), batch_(batch) {}

  Results<float> run() const {
    const std::size_t size = map_.size_in();
    Results<float> out{Floats(batch_ * size),
                       Floats(batch_),
                       {},
                       Floats(batch_ * size),
                       {},
                       Floats(in_.parameters.size()),
                       {}};
    for (std::size_t row = 0; row < batch_; ++row) {
      const double* const eps = &in_.eps[row * size];
      const float divergence_bar = float(in_.divergence_bar[row]);
      for_each_tap([&](std::size_t weight, std::size_t o, std::size_t i) {
        const float w = float(in_.parameters[at_.weight + weight]);
        const float z = float(in_.z[row * size + i]), f_bar = float(in_.f_bar[row * size + o]);
        out.f[row * size + o] += w * z;
        out.divergence[row] += float(eps[o]) * (w * float(eps[i]));
        out.z_bar[row * size + i] += w * f_bar;
        out.gradients[at_.weight + weight] += f_bar * z;
        out.gradients[at_.weight + weight] += divergence_bar * float(eps[o]) * float(eps[i]);
      });
      for (std::size_t o = 0; o < size; ++o) {
        const std::size_t bias = at_.bias + o / map_.plane_out.size();
        out.f[row * size + o] += float(in_.parameters[bias]);
        out.gradients[bias] += float(in_.f_bar[row * size + o]);
      }
    }
    return out;
  }

 private:
  template <class Visit>
  void for_each_tap(Visit visit) const {
    const int channels = map_.channels_in, height = map_.plane_in.height,
              width = map_.plane_in.width;
    for (int n = 0; n < channels; ++n)
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
          for (int c = 0; c < channels; ++c)
            for (int i = 0; i < 3; ++i)
              for (int j = 0; j < 3; ++j) {
                const int from_y = y + i - 1, from_x = x + j - 1;
                if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= width) continue;
                visit(((n * channels + c) * 3 + i) * 3 + j, (n * height + y) * width + x,
                      (c * height + from_y) * width + from_x);
              }
  }

  const LinearMap map_;
  const LayerOffsets at_;
  const Inputs& in_;
  const std::size_t batch_;
};

/// Errors of both ways to convolve are within twice those of plain float32.
void check_precision(Report& report) {
  constexpr std::size_t kBatch = 16;
  struct Way {
    std::string name;
    int taps;
    cpu::ConvolutionMethod method;
  };
  for (const Way& way : {Way{"transformed", 3, cpu::ConvolutionMethod::Fastest},
                         Way{"direct", 3, cpu::ConvolutionMethod::Direct},
                         Way{"5 x 5", 5, cpu::ConvolutionMethod::Fastest}}) {
    const std::vector<LinearMap> maps =
        maps_of(48, {8, 8}, {{square(way.taps, 1, way.taps / 2), 48}});
    ConvolutionCase c{way.name, plan_net(LayerKind::Ignore, Activation::Identity, maps)};
    c.method = way.method;
    ParameterLayout layout;
    BlockOffsets block;
    block.net = layout.add_net("net", c.plan);
    const Inputs inputs(c, block.net, layout, kBatch);
    const Results<double> truth = reference_results(c, block, inputs, kBatch);
    const Results<float> plain = PlainLayer(maps[0], block, inputs, kBatch).run();
    const auto error = [](const Floats& values, const Vector& expected) {
      double difference = 0, size = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        difference += (values[i] - expected[i]) * (values[i] - expected[i]);
        size += expected[i] * expected[i];
      }
      return std::sqrt(difference / size);
    };
    for (std::string_view set : cpu::instruction_sets()) {
      const Results<float> found = kernel_results(c, block, inputs, kBatch, set, report);
      const auto compare = [&](const std::string& what, const Floats& values, const Floats& measure,
                               const Vector& expected) {
        report.expect(c.name + ", " + std::string(set) + " " + what, error(values, expected),
                      2 * error(measure, expected));
      };
      compare("f", found.f, plain.f, truth.f);
      compare("divergence", found.divergence, plain.divergence, truth.divergence);
      compare("z_bar", found.z_bar, plain.z_bar, truth.z_bar);
      compare("gradients", found.gradients, plain.gradients, truth.gradients);
    }
  }
  report.finish("errors against plain float32");
}

void check_contexts(Report& report) {
  for (std::size_t geometry : {0, 1, 4})
    for (LayerKind kind : kKinds)
      for (bool own : {false, true}) {
        ConvolutionCase c{"context" + spelled(kind, Activation::Swish),
                          plan_net(kind, Activation::Swish, geometries()[geometry].maps)};
        c.own_times = own;
        c.plan.context_size = 3;
        c.plan.layers.front().context_moves_bias = true;
        for (std::size_t l = 0; l + 1 < c.plan.layers.size(); ++l)
          c.plan.layers[l].context_moves_gate = row_of(kind).form.gate;
        check_case(c, report);
      }
  report.finish("contexts");
}

}  // namespace

int main() {
  Report report;
  try {
    check_geometries(report);
    check_activations(report);
    check_traces(report);
    check_branches(report);
    check_contexts(report);
    check_precision(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  return report.failures() > 0;
}
