// The norm that a group is judged by, of the parts that its tiles of rows left.
#pragma once

#include "cuda/step/control.h"
#include "cuda/step/norm_part.h"

namespace ffjord::cuda {

/// The sum of `count` parts by the fixed tree of a block of so many threads, all of which take part
/// and get it.
template <int Threads>
__device__ NormPart sum_parts(const NormPart* parts, int count, NormPart (&sums)[Threads]) {
  NormPart sum;
  for (int part = threadIdx.x; part < count; part += Threads) sum.add(parts[part]);
  sums[threadIdx.x] = sum;
  for (int half = Threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x].add(sums[threadIdx.x + half]);
  }
  __syncthreads();
  sum = sums[0];
  __syncthreads();
  return sum;
}

__device__ inline double group_norm(const ControlArguments& s, const NormPart& part, int index) {
  return norm_of(part, s.norm, min(s.groups.rows, s.batch - index * s.groups.rows));
}

/// With the norm of what no row holds.
__device__ inline double with_shared(const ControlArguments& s, double norm) {
  if (!s.shared_norm || std::isnan(norm)) return norm;
  return *s.shared_norm <= norm ? norm : *s.shared_norm;
}

}  // namespace ffjord::cuda
