#include "cuda/net/activations.h"
#include "cuda/net/octet_forward.h"

namespace ffjord::cuda {
namespace {

template <int Units>
struct ForwardMemory {
  OctetTile<Units>& tile;
  float (&slopes)[kTileRows][Units];
  LineRows& rows;
};

// Makes values, tangents and their octets of a tile of products.
template <int Units>
class ForwardTile {
 public:
  __device__ ForwardTile(const OctetForward& s, const ForwardMemory<Units>& memory)
      : s_(s.layer),
        above_(s.above),
        factors_(s.factors),
        memory_(memory),
        unit_(threadIdx.x % Units),
        at_(blockIdx.y * Units + unit_) {}

  /// fill(channel, both) leaves the products of a channel, and the next where there are `both`, in
  /// the tile.
  template <class Fill>
  __device__ __forceinline__ void run(const RowLines& lines, const Fill& fill) {
    set_line_rows(lines, memory_.rows);
    const bool unit_tangents = !s_.input.tangents && s_.tangents > 0;
    const int last = unit_tangents ? 0 : s_.tangents;  // channel that takes a product
#pragma unroll 1
    for (int channel = 0; channel <= last; channel += 2) {
      fill(channel, channel < last);
      __syncthreads();
      channel == 0 ? enter_values(channel < last) : enter_tangents(channel - 1, channel < last);
      split(channel, channel < last);
    }
    if (!unit_tangents) return;
#pragma unroll 1
    for (int k = 0; k < s_.tangents; k += 2) {
      const bool both = k + 1 < s_.tangents;
      take_columns(k, both);
      enter_tangents(k, both);
      split(1 + k, both);
    }
  }

 private:
  static constexpr int kRowStep = kOctetThreads / Units;

  // each(line of the tile, row) for those of the present thread, whose unit is always the same.
  template <class Each>
  __device__ __forceinline__ void each_row(const Each& each) const {
#pragma unroll 2
    for (int r = threadIdx.x / Units; r < kTileRows; r += kRowStep) each(r, memory_.rows[r]);
  }
  // Found anew where it is wanted, as a register that lives through the products costs more.
  __device__ float down_of_unit() const { return factors_.down_of(at_); }
  __device__ bool holds(int row) const { return row >= 0 && at_ < s_.layer.out(); }
  __device__ std::size_t entry(std::ptrdiff_t slot, int row) const {
    return slot + std::size_t(row) * s_.layer.out() + at_;
  }
  // Asked for where it is wanted, as two registers that live through the products are too many.
  __device__ std::ptrdiff_t slot() const { return s_.slot.offset(s_.groups); }
  // One set serves all rows, unless a context moves them.
  __device__ std::size_t vector_entry(int row) const {
    const int set = s_.times.rows >= s_.batch ? 0 : row / s_.times.rows;
    return std::size_t(set) * s_.times.units + s_.layer.unit + at_;
  }

  __device__ void enter_values(bool both) const {
    const float beta = s_.beta ? *s_.beta : 1.f, down = down_of_unit(), t = s_.times.time[0];
    const std::ptrdiff_t slot = this->slot();
    each_row([&](int r, int row) {
      float &value = memory_.tile[0][r][unit_], &tangent = memory_.tile[1][r][unit_];
      if (!holds(row)) {
        value = tangent = 0.f;
        return;
      }
      const std::size_t vector = vector_entry(row), at = entry(slot, row);
      const float gate = s_.layer.gated() ? s_.times.gate[vector] : 1.f;
      float z = fmaf(gate, value * down, s_.times.offset[vector]);
      if (s_.planes.time) z += s_.planes.shift(row, at_, t);
      const Activated activated = activate(s_.layer.activation, z, beta);
      value = activated.a;
      if (s_.value) s_.value[at] = activated.a;
      if (s_.z) s_.z[at] = z;
      if (s_.closed) s_.closed[at] = activated.slope * gate;
      if (both) enter_tangent(0, at, gate, activated.slope, tangent, down);
      if (s_.tangents > 1) memory_.slopes[r][unit_] = activated.slope;
    });
  }

  __device__ void enter_tangents(int k, bool both) const {
    const float down = down_of_unit();
    const std::ptrdiff_t slot = this->slot();
    each_row([&](int r, int row) {
      float &first = memory_.tile[0][r][unit_], &second = memory_.tile[1][r][unit_];
      if (!holds(row)) {
        first = second = 0.f;
        return;
      }
      const float gate = s_.layer.gated() ? s_.times.gate[vector_entry(row)] : 1.f;
      const float slope = memory_.slopes[r][unit_];
      const std::size_t at = entry(slot, row);
      enter_tangent(k, at, gate, slope, first, down);
      if (both) enter_tangent(k + 1, at, gate, slope, second, down);
    });
  }

  // σ' u of a product.
  __device__ __forceinline__ void enter_tangent(int k, std::size_t value_at, float gate,
                                                float slope, float& entry, float down) const {
    const float u = gate * (entry * down);
    entry = slope * u;
    const std::size_t at = std::size_t(k) * s_.batch * s_.layer.out() + value_at;
    if (s_.tangent) s_.tangent[at] = entry;
    if (s_.u) s_.u[at] = u;
  }

  // W e_k and W e_(k + 1).
  __device__ void take_columns(int k, bool both) const {
    __syncthreads();
    each_row([&](int r, int row) {
      if (!holds(row)) return;
      const float* const w = s_.weight + std::size_t(k) * s_.layer.out() + at_;
      const float up = 1.f / down_of_unit();  // of two
      memory_.tile[0][r][unit_] = w[0] * up;
      if (both) memory_.tile[1][r][unit_] = w[s_.layer.out()] * up;
    });
  }

  // Octets of what the tile holds by now, of channel `first` and the next.
  __device__ void split(int first, bool both) const {
    __syncthreads();
    if constexpr (Units >= kScaleDepth) {
      if (!above_.slabs) return;
      for (int i = 0; i <= both; ++i) split_tile<Units>(memory_.tile, i, above_, first + i);
      __syncthreads();
    }
  }

  const ForwardArguments& s_;
  const OctetRows& above_;
  const OctetFactors& factors_;
  const ForwardMemory<Units> memory_;
  const int unit_, at_;
};

template <class Arithmetic, int Units>
struct KernelMemory {
  OctetMemory<Arithmetic, Units> product;
  float slopes[kTileRows][Units];
  LineRows rows;
};

// FLOPs: 2 B depth out (1 + K). Bytes: A once an out / Units and tap, W once a B / 64.
// hot: no spills
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(kOctetThreads, octet_blocks<Arithmetic, Units>)
    octet_forward(const __grid_constant__ OctetForward s) {
  if (!s.layer.groups.data->working) return;
  auto& memory = shared_memory<KernelMemory<Arithmetic, Units>>();
  ForwardTile<Units> tile(s, {memory.product.tile, memory.slopes, memory.rows});
  tile.run(s.factors.rows.lines, FillByProducts<Arithmetic, Units>{s.factors, memory.product});
}

template <int Units>
struct FinishMemory {
  OctetTile<Units> tile;
  float slopes[kTileRows][Units];
  LineRows rows;
};

// What octet_forward does behind its products, of those that lie in slices.
template <int Units>
__global__ void __launch_bounds__(kOctetThreads)
    finish_octet_forward(const __grid_constant__ OctetForward s,
                         const __grid_constant__ OctetSlices slices) {
  if (!s.layer.groups.data->working) return;
  auto& memory = shared_memory<FinishMemory<Units>>();
  ForwardTile<Units> tile(s, {memory.tile, memory.slopes, memory.rows});
  tile.run(s.factors.rows.lines, FillBySlices<Units>{s.factors, slices, memory.rows, memory.tile});
}

struct FewMemory {
  FinishMemory<FewChannels::kUnits> finish;
  FewEntries entries;
};

// The same of a layer with few channels, whose products are made here.
// FLOPs: 2 B 9 in out (1 + K). Bytes: as the layer's input and output.
// hot: no spills
__global__ void __launch_bounds__(kOctetThreads)
    few_channels_forward(const __grid_constant__ OctetForward s) {
  if (!s.layer.groups.data->working) return;
  constexpr int units = FewChannels::kUnits;
  auto& [memory, entries] = shared_memory<FewMemory>();
  ForwardTile<units> tile(s, {memory.tile, memory.slopes, memory.rows});
  const std::ptrdiff_t slot = s.layer.input.value_on_tape ? s.layer.slot.offset(s.layer.groups) : 0;
  tile.run(s.few.lines, FillByFewChannels<units>{s.few, slot, entries, memory.tile});
}

template <int Units>
LaunchShape shape_of(const RowLines& lines, int units, std::size_t bytes) {
  return {dim3(lines.tiles(), tiles_of(units, Units)), dim3(kOctetThreads), bytes};
}

template <int Units>
void finish(const OctetForward& s, const Stream& stream) {
  const RowLines& lines = s.factors.rows.lines;
  OctetSlices slices = slices_of(s.factors.lines, lines, s.factors.rows.channels);
  slices.data = s.slices;
  multiply_slices(s.factors, slices, s.layer.groups, stream);
  launch("finish_octet_forward", finish_octet_forward<Units>,
         shape_of<Units>(lines, s.layer.layer.out(), sizeof(FinishMemory<Units>)), stream, s,
         slices);
}

template <int Units>
void start(const OctetForward& s, const Stream& stream) {
  const int out = s.layer.layer.out();
  const RowLines& lines = s.factors.rows.lines;
  if (slices_of(s.factors.lines, lines, 1).count > 1) return finish<Units>(s, stream);
  with_octet_arithmetic(stream, [&](auto arithmetic) {
    using Arithmetic = decltype(arithmetic);
    launch("octet_forward", octet_forward<Arithmetic, Units>,
           shape_of<Units>(lines, out, sizeof(KernelMemory<Arithmetic, Units>)), stream, s);
  });
}

}  // namespace

void run_octet_layer(const OctetForward& s, const Stream& stream) {
  const int out = s.layer.layer.out();
  if (s.few.channels > 0)
    return launch("few_channels_forward", few_channels_forward,
                  shape_of<FewChannels::kUnits>(s.few.lines, out, sizeof(FewMemory)), stream, s);
  if (s.factors.tap_units > 0) return finish<kMostTapUnits>(s, stream);
  out > 64 ? start<128>(s, stream) : start<64>(s, stream);
}

}  // namespace ffjord::cuda
