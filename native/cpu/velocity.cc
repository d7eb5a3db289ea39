#include "cpu/velocity.h"

#include <array>
#include <memory>
#include <vector>

#include "cpu/context_tiles.h"

namespace ffjord::cpu {
namespace {

class VelocityTiles {
 public:
  explicit VelocityTiles(const VelocityCall& call)
      : call_(call),
        eps_(tile_noise(call.tiles, call.point.noise.values(),
                        call.point.trace.noise_size(call.dimension))),
        terms_(context_terms(call.net, call.team, call.tiles, call.point.context)),
        own_times_(call.point.times.size() > 1),
        z_size_(call.dimension * call.tiles.rows) {
    if (!own_times_) call.workspace.times.set_single(call.point.times[0]);
  }

  bool own_times() const { return own_times_; }
  std::size_t z_size() const { return z_size_; }
  std::size_t terms_size() const { return terms_.size() / call_.tiles.count(); }

  const float* noise(std::size_t tile) const {
    return eps_.empty() ? nullptr : eps_.data() + tile * (eps_.size() / call_.tiles.count());
  }

  /// The tile's slot; with a t a row it is the worker's own.
  const TimeSlot& time(Workspace::Worker& memory, std::size_t tile) const {
    if (!own_times_) return call_.workspace.times.of(0);
    std::vector<float> times(call_.tiles.rows, 0.f);
    for (std::size_t row = 0; row < call_.tiles.rows_in(tile); ++row)
      times[row] = static_cast<float>(call_.point.times[call_.tiles.first_row(tile) + row]);
    return memory.times.set_rows(times.data());
  }

  /// Evaluates into memory.rates: [f | div] where the divergence is wanted.
  void evaluate(Workspace::Worker& memory, const TimeSlot& time, std::size_t tile,
                bool with_divergence, bool keep) const {
    memory.rates.resize(2 * z_size_ + call_.tiles.rows);
    float* f = memory.rates.data();
    float* z = f + z_size_ + call_.tiles.rows;
    load_tile(call_.tiles, tile, call_.point.z, call_.dimension, z);
    call_.net.evaluate(time,
                       {z, noise(tile), f, with_divergence ? f + z_size_ : nullptr, nullptr,
                        terms_.empty() ? nullptr : terms_.data() + tile * terms_size()},
                       call_.workspace.activations(memory, 0), keep);
  }

 private:
  const VelocityCall& call_;
  const AlignedFloats eps_, terms_;
  const bool own_times_;
  const std::size_t z_size_;
};

}  // namespace

void evaluate_velocity(const VelocityCall& call, std::span<float> f, std::span<float> divergence) {
  const VelocityTiles tiles(call);
  call.team.run(call.tiles.count(), [&](int worker, std::size_t tile) {
    auto& memory = call.workspace.worker(worker);
    tiles.evaluate(memory, tiles.time(memory, tile), tile, !divergence.empty(), false);
    store_tile(call.tiles, tile, memory.rates.data(), call.dimension, f);
    if (!divergence.empty())
      store_tile(call.tiles, tile, memory.rates.data() + tiles.z_size(), 1, divergence);
  });
}

void pull_velocity(const VelocityCall& call, std::size_t weights,
                   const PointCotangents<float>& bars) {
  const VelocityTiles tiles(call);
  const std::size_t count = call.tiles.count(), rows = call.tiles.rows;
  const bool with_gradients = !bars.gradients.empty();
  const TileSlots slots(call.tiles, call.point.share,
                        with_gradients ? most_slots(weights, 1) : count);
  const std::vector<GradientSlot*> sums =
      call.workspace.clear_slots(0, with_gradients ? slots.count() : 0);
  std::vector<double> tile_times_bar(tiles.own_times() ? count * rows : count);
  AlignedFloats z_bars(count * tiles.z_size()), terms_bars(count * tiles.terms_size());

  slots.for_each_tile(call.team, [&](int worker, std::size_t tile) {
    auto& memory = call.workspace.worker(worker);
    const TimeSlot& time = tiles.time(memory, tile);
    tiles.evaluate(memory, time, tile, !bars.divergence.empty(), true);
    memory.bars.resize(tiles.z_size() + rows);
    float* bar = memory.bars.data();
    load_tile(call.tiles, tile, bars.f, call.dimension, bar);
    if (!bars.divergence.empty())
      load_tile(call.tiles, tile, bars.divergence, 1, bar + tiles.z_size());
    float* const terms_bar =
        terms_bars.empty() ? nullptr : terms_bars.data() + tile * tiles.terms_size();
    const TileCotangents cotangents{tiles.noise(tile),
                                    bar,
                                    bars.divergence.empty() ? nullptr : bar + tiles.z_size(),
                                    nullptr,
                                    z_bars.data() + tile * tiles.z_size(),
                                    terms_bar};
    Activations& activations = call.workspace.activations(memory, 0);
    double* row_times = tiles.own_times() ? tile_times_bar.data() + tile * rows : nullptr;
    const double t_bar = call.net.pullback(
        time, cotangents, activations, with_gradients ? sums[slots.of(tile)] : nullptr, row_times);
    if (terms_bar) call.net.pull_back_products(std::array{&activations}, terms_bar);
    if (!row_times) tile_times_bar[tile] = t_bar;
  });

  pull_context(call.net, call.team, call.tiles, slots, call.point.context, terms_bars, sums,
               bars.context);
  add_slots(call.net, call.team, sums, bars.gradients);
  if (!bars.z.empty()) {
    std::vector<float> rows(bars.z.size());
    for (std::size_t tile = 0; tile < count; ++tile)
      store_tile(call.tiles, tile, z_bars.data() + tile * tiles.z_size(), call.dimension, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) bars.z[i] += rows[i];
  }
  if (bars.times.empty()) return;
  if (tiles.own_times())
    for (std::size_t row = 0; row < call.tiles.batch; ++row) bars.times[row] += tile_times_bar[row];
  else
    bars.times[0] += tree_sum(slots.sums(tile_times_bar));
}

void regress_velocity(const VelocityCall& call, std::size_t weights, const VelocityTarget& target,
                      std::span<float> gradients) {
  const VelocityTiles tiles(call);
  const std::size_t rows = call.tiles.rows, dimension = call.dimension;
  const TileSlots slots(call.tiles, call.point.share, most_slots(weights, 1));
  const std::vector<GradientSlot*> sums = call.workspace.clear_slots(0, slots.count());
  AlignedFloats terms_bars(call.tiles.count() * tiles.terms_size());

  slots.for_each_tile(call.team, [&](int worker, std::size_t tile) {
    auto& memory = call.workspace.worker(worker);
    const TimeSlot& time = tiles.time(memory, tile);
    tiles.evaluate(memory, time, tile, false, true);
    memory.bars.assign(2 * tiles.z_size(), 0.f);  // [f̄ | z̄], rows beyond the batch at zero
    const std::size_t first = call.tiles.first_row(tile);
    for (std::size_t row = 0; row < call.tiles.rows_in(tile); ++row) {
      double loss = 0;
      for (std::size_t i = 0; i < dimension; ++i) {
        const std::size_t at = i * rows + row;
        const double miss = target.miss(memory.rates[at], (first + row) * dimension + i);
        loss += miss * miss;
        memory.bars[at] = static_cast<float>(target.f_bar(miss));
      }
      target.losses[first + row] = loss;
    }
    float* const terms_bar =
        terms_bars.empty() ? nullptr : terms_bars.data() + tile * tiles.terms_size();
    Activations& activations = call.workspace.activations(memory, 0);
    call.net.pullback(time,
                      {nullptr, memory.bars.data(), nullptr, nullptr,
                       memory.bars.data() + tiles.z_size(), terms_bar},
                      activations, sums[slots.of(tile)], nullptr);
    if (terms_bar) call.net.pull_back_products(std::array{&activations}, terms_bar);
  });

  pull_context(call.net, call.team, call.tiles, slots, call.point.context, terms_bars, sums, {});
  add_slots(call.net, call.team, sums, gradients);
}

}  // namespace ffjord::cpu
