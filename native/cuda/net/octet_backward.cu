#include "cuda/net/activations.h"
#include "cuda/net/octet_backward.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {
namespace {

// What a tile's sums over rows and units are added up in, behind its products.
template <int Units>
struct SumMemory {
  float units[kUnitSums][kOctetThreads];
  float rows[kTileRows][Units / 32];
  LineRows lines;  ///< which rows they are
};

// The mathematics are those of layer_backward.cu. A thread has one unit, of every second or fourth
// row of a tile.
template <int Units>
class BackwardTile {
 public:
  __device__ BackwardTile(const OctetBackward& s, OctetTile<Units>& tile, SumMemory<Units>& sums)
      : s_(s.layer),
        lines_(s.lines),
        below_(s.below),
        logits_(s.logits),
        betas_(s.betas),
        tile_(tile),
        sums_(sums),
        unit_(threadIdx.x % Units),
        at_(blockIdx.y * Units + unit_),
        down_(s.factors.down_of(at_)),
        beta_(s_.beta ? *s_.beta : 1.f),
        time_(s_.times.time[0]) {}

  /// fill(channel, both) leaves (ā, ǡ) of a channel, and of the next where there are `both`, in the
  /// tile.
  template <class Fill>
  __device__ __forceinline__ void run(const Fill& fill) {
    set_line_rows(lines_, sums_.lines);
#pragma unroll 1
    for (int channel = 0; channel <= s_.tangents; channel += 2) {
      const bool both = channel < s_.tangents;
      fill(channel, both);
      __syncthreads();
      enter(channel, both);
      __syncthreads();
      if (below_.slabs) {
        if (channel > 0 || s_.tangents < 2) split_tile<Units>(tile_, 0, below_, channel);
        if (both) split_tile<Units>(tile_, 1, below_, channel + 1);
        __syncthreads();
      }
    }
    if (below_.slabs && s_.tangents > 1) split_values();
    add_up();
  }

 private:
  static constexpr int kRowStep = kOctetThreads / Units;

  /// What the channels of an entry add to.
  struct Bars {
    float z = 0.f, logit = 0.f, beta = 0.f;
  };
  struct Unit {
    Slopes slopes;
    float z, gate;
  };

  __device__ bool holds(int row) const { return row >= 0 && at_ < s_.layer.out(); }
  __device__ std::size_t entry(int row) const { return std::size_t(row) * s_.layer.out() + at_; }
  __device__ bool gated() const { return s_.layer.gated(); }
  __device__ bool swish() const { return s_.layer.activation == Activation::Swish; }

  __device__ __forceinline__ void enter(int first, bool both) {
    const bool last = first + 2 > s_.tangents;
#pragma unroll 1
    for (int r = threadIdx.x / Units; r < kTileRows; r += kRowStep) {
      const int row = sums_.lines[r];
      float &one = tile_[0][r][unit_], &other = tile_[1][r][unit_];
      float time_bar = 0.f;
      if (holds(row)) {
        const std::size_t at = entry(row);
        const int set = s_.times.rows >= s_.batch ? 0 : row / s_.times.rows;
        const std::size_t vector = std::size_t(set) * s_.times.units + s_.layer.unit + at_;
        const float z = s_.z ? s_.z[at] : 0.f;
        const Unit unit{slopes_of(s_.layer.activation, s_.value[at], z, beta_), z,
                        gated() ? s_.times.gate[vector] : 1.f};
        Bars bars;
        if (first == 0) {
          const float bar = one * down_;
          bars.z = unit.slopes.slope * bar;
          if (swish()) bars.beta = swish_by_beta(z, beta_).slope * bar;
          if (s_.closed) share(unit, s_.closed_bar[at], s_.closed[at], unit.gate, bars);
        } else {
          bars = {s_.value_bar[at], gated() ? logits_[at] : 0.f, swish() ? betas_[at] : 0.f};
          one = pull_tangent(first - 1, at, unit, one * down_, bars);
        }
        if (both) other = pull_tangent(first, at, unit, other * down_, bars);
        if (last) {
          const float value = finish(row, at, vector, unit, bars, time_bar);
          if (first == 0) one = value;
        } else {
          s_.value_bar[at] = bars.z;
          if (gated()) logits_[at] = bars.logit;
          if (swish()) betas_[at] = bars.beta;
        }
      } else {
        one = other = 0.f;
      }
      if (last && s_.time_bars) add_row(r, time_bar);
    }
  }

  // What a tangent's cotangent adds to the others; returns ū.
  __device__ float share(const Unit& unit, float bar, float tangent, float u, Bars& bars) const {
    const float u_bar = unit.slopes.slope * bar;
    const float bent = bends_preactivation(s_.layer.activation) ? u : tangent;
    bars.z = fmaf(unit.slopes.bend * bent, bar, bars.z);
    if (gated()) bars.logit = fmaf(u_bar, u, bars.logit);
    if (swish()) bars.beta = fmaf(swish_by_beta(unit.z, beta_).bend * u, bar, bars.beta);
    return u_bar;
  }

  __device__ float pull_tangent(int k, std::size_t entry, const Unit& unit, float bar,
                                Bars& bars) const {
    const std::size_t at = std::size_t(k) * s_.batch * s_.layer.out() + entry;
    const float u = s_.u ? s_.u[at] : 0.f;
    const float gated_bar = unit.gate * share(unit, bar, s_.tangent[at], u, bars);
    s_.tangent_bar[at] = gated_bar;
    return gated_bar;
  }

  // Stores g ⊙ z̄, and sums; returns the former.
  __device__ float finish(int row, std::size_t at, std::size_t vector, const Unit& unit,
                          const Bars& bars, float& time_bar) {
    float logit_bar = 0.f;
    if (gated())
      logit_bar = (1.f - unit.gate) * fmaf(bars.z, s_.z[at] - s_.times.shift[vector], bars.logit);
    const float value = unit.gate * bars.z;
    s_.value_bar[at] = value;
    if (s_.logit_bar) s_.logit_bar[at] = logit_bar;
    add_term(s_.layer.bias_term, row, value);
    add_term(s_.layer.gate_term, row, logit_bar);
    unit_sums_[kGatedValue] += value;
    unit_sums_[kTimedValue] = fmaf(time_, bars.z, unit_sums_[kTimedValue]);
    unit_sums_[kLogit] += logit_bar;
    unit_sums_[kTimedLogit] = fmaf(time_, logit_bar, unit_sums_[kTimedLogit]);
    unit_sums_[kBeta] += bars.beta;
    if (s_.time_bars) {
      const float shift = s_.planes.time ? s_.planes.time_weight(row, at_)
                                         : s_.layer.shift_weight(s_.parameters, at_);
      time_bar = shift * bars.z;
      if (gated())
        time_bar = fmaf(s_.parameters[s_.layer.offsets.gate_weight + at_], logit_bar, time_bar);
    }
    return value;
  }

  __device__ void add_term(int first, int row, float bar) const {
    if (!s_.terms.data || first == kNoTerm) return;
    float& sum = s_.terms.data[std::size_t(row) * s_.terms.stride + first + at_];
    sum = fmaf(s_.terms.sign, bar, sum);
  }

  // t̄ of a row over the units of a warp.
  __device__ void add_row(int r, float bar) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) bar += __shfl_xor_sync(~0u, bar, step);
    if (lane_index() == 0) sums_.rows[r][unit_ / 32] = bar;
  }

  // The values' octets, where they were known behind the last of the tangents.
  __device__ void split_values() {
    for (int r = threadIdx.x / Units; r < kTileRows; r += kRowStep) {
      const int row = sums_.lines[r];
      tile_[0][r][unit_] = holds(row) ? s_.value_bar[entry(row)] : 0.f;
    }
    __syncthreads();
    split_tile<Units>(tile_, 0, below_, 0);
  }

  // Sums over rows and over units, in order.
  __device__ void add_up() {
    for (int kind = 0; kind < kUnitSums; ++kind) sums_.units[kind][threadIdx.x] = unit_sums_[kind];
    __syncthreads();
    if (s_.unit_sums && threadIdx.x < Units && at_ < s_.layer.out())
      for (int kind = 0; kind < kUnitSums; ++kind) {
        float sum = 0.f;
        for (int part = 0; part < kRowStep; ++part)
          sum += sums_.units[kind][part * Units + threadIdx.x];
        s_.unit_sums[(std::size_t(kind) * s_.sum_tiles + blockIdx.x) * s_.times.units +
                     s_.layer.unit + at_] = sum;
      }
    if (!s_.time_bars || threadIdx.x >= kTileRows) return;
    const int row = sums_.lines[threadIdx.x];
    if (row < 0) return;
    float sum = 0.f;
    for (int part = 0; part < Units / 32; ++part) sum += sums_.rows[threadIdx.x][part];
    s_.time_bars[std::size_t(blockIdx.y) * s_.batch + row] = sum;
  }

  const BackwardArguments& s_;
  const RowLines& lines_;
  const OctetRows& below_;
  float *const logits_, *const betas_;
  OctetTile<Units>& tile_;
  SumMemory<Units>& sums_;
  const int unit_, at_;
  const float down_, beta_, time_;
  float unit_sums_[kUnitSums] = {};
};

// Fills a tile by what lies in `value_bar` and `tangent_bar`.
template <int Units>
struct FillByBars {
  const BackwardArguments& s;
  const LineRows& rows;
  OctetTile<Units>& tile;

  __device__ __forceinline__ void operator()(int channel, bool both) const {
    for (int i = 0; i <= both; ++i)
      for (int e = threadIdx.x; e < kTileRows * Units; e += kOctetThreads) {
        const int row = rows[e / Units], unit = blockIdx.y * Units + e % Units;
        if (row < 0 || unit >= s.layer.out()) continue;
        const std::size_t at = std::size_t(row) * s.layer.out() + unit;
        const int k = channel + i - 1;
        tile[i][e / Units][e % Units] =
            k < 0 ? s.value_bar[at] : s.tangent_bar[std::size_t(k) * s.batch * s.layer.out() + at];
      }
  }
};

// Rows that rest add nothing.
template <int Units>
__device__ void clear_sums(const BackwardArguments& s) {
  const int unit = blockIdx.y * Units + threadIdx.x;
  if (!s.unit_sums || threadIdx.x >= Units || unit >= s.layer.out()) return;
  for (int kind = 0; kind < kUnitSums; ++kind)
    s.unit_sums[(std::size_t(kind) * s.sum_tiles + blockIdx.x) * s.times.units + s.layer.unit +
                unit] = 0.f;
}

template <class Arithmetic, int Units>
struct KernelMemory {
  OctetMemory<Arithmetic, Units> product;
  SumMemory<Units> sums;
};

// FLOPs: 2 B depth out (1 + K). Bytes: as octet_forward, and the tape once.
// hot: no spills
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(kOctetThreads, octet_blocks<Arithmetic, Units>)
    octet_backward(const __grid_constant__ OctetBackward s) {
  if (!s.layer.groups.data->working) return clear_sums<Units>(s.layer);
  auto& memory = shared_memory<KernelMemory<Arithmetic, Units>>();
  BackwardTile<Units> tile(s, memory.product.tile, memory.sums);
  tile.run(FillByProducts<Arithmetic, Units>{s.factors, memory.product});
}

template <int Units>
struct FinishMemory {
  OctetTile<Units> tile;
  SumMemory<Units> sums;
};

// The same of a product that lies in slices, or of cotangents that no product makes.
template <int Units>
__global__ void __launch_bounds__(kOctetThreads)
    finish_octet_backward(const __grid_constant__ OctetBackward s,
                          const __grid_constant__ OctetSlices slices) {
  if (!s.layer.groups.data->working) return clear_sums<Units>(s.layer);
  auto& memory = shared_memory<FinishMemory<Units>>();
  BackwardTile<Units> tile(s, memory.tile, memory.sums);
  if (slices.data)
    tile.run(FillBySlices<Units>{s.factors, slices, memory.sums.lines, memory.tile});
  else
    tile.run(FillByBars<Units>{s.layer, memory.sums.lines, memory.tile});
}

struct FewMemory {
  FinishMemory<FewChannels::kUnits> finish;
  FewEntries entries;
};

// The same of a layer below one with few channels, whose products are made here.
// FLOPs: 2 B 9 in out (1 + K). Bytes: as the tape, and what comes in and goes out.
// hot: no spills
__global__ void __launch_bounds__(kOctetThreads)
    few_channels_backward(const __grid_constant__ OctetBackward s) {
  constexpr int units = FewChannels::kUnits;
  if (!s.layer.groups.data->working) return clear_sums<units>(s.layer);
  auto& [memory, entries] = shared_memory<FewMemory>();
  BackwardTile<units> tile(s, memory.tile, memory.sums);
  tile.run(FillByFewChannels<units>{s.few, 0, entries, memory.tile});
}

template <int Units>
void start(const OctetBackward& s, const Stream& stream) {
  LaunchShape shape{dim3(s.lines.tiles(), octet_unit_tiles(s)), dim3(kOctetThreads)};
  OctetSlices slices;
  if (s.factors.rows.slabs) {
    slices = slices_of(s.factors.lines, s.factors.rows.lines, s.factors.rows.channels);
    if (slices.count == 1)
      return with_octet_arithmetic(stream, [&](auto arithmetic) {
        using Arithmetic = decltype(arithmetic);
        shape.shared_bytes = sizeof(KernelMemory<Arithmetic, Units>);
        launch("octet_backward", octet_backward<Arithmetic, Units>, shape, stream, s);
      });
    slices.data = s.slices;
    multiply_slices(s.factors, slices, s.layer.groups, stream);
  }
  shape.shared_bytes = sizeof(FinishMemory<Units>);
  launch("finish_octet_backward", finish_octet_backward<Units>, shape, stream, s, slices);
}

}  // namespace

void pull_octet_layer(const OctetBackward& s, const Stream& stream) {
  if (s.few.channels > 0)
    return launch(
        "few_channels_backward", few_channels_backward,
        {dim3(s.lines.tiles(), octet_unit_tiles(s)), dim3(kOctetThreads), sizeof(FewMemory)},
        stream, s);
  s.layer.layer.out() > 64 ? start<128>(s, stream) : start<64>(s, stream);
}

int octet_unit_tiles(const OctetBackward& s) {
  const int units = s.layer.layer.out();
  return tiles_of(units, s.few.channels > 0 || units <= 64 ? 64 : 128);
}

}  // namespace ffjord::cuda
