#include "core/flow_matching.h"

#include <algorithm>
#include <cmath>

#include "core/assignment.h"
#include "core/philox.h"
#include "core/slots.h"
#include "core/squeezed_view.h"

namespace ffjord {
namespace {

[[noreturn]] void refuse(const std::string& reason) {
  throw Error(ErrorCode::Unsupported, "flow matching " + reason);
}

bool is_cnf(const Block& block) { return std::holds_alternative<Cnf>(block); }

bool is_squeeze(const Block& block) { return std::holds_alternative<Squeeze>(block); }

// Whether the flow is fixed transforms, then CNF blocks to the end, with squeezes between them: a
// straight line stays one where its elements change their places.
void check_blocks(const FlowDescription& flow) {
  const auto first = std::find_if(flow.blocks.begin(), flow.blocks.end(), is_cnf);
  if (first == flow.blocks.end()) refuse("trains CNF blocks, and this flow has none");
  if (!std::all_of(first, flow.blocks.end(),
                   [](const Block& block) { return is_cnf(block) || is_squeeze(block); }))
    refuse(
        "takes CNF blocks one after the other behind fixed transforms, squeezes alone between "
        "them; move the others to the front, or train by maximum likelihood (objective 'ml')");
  if (!std::all_of(flow.blocks.begin(), first, is_fixed))
    refuse(
        "takes fixed transforms alone before the first CNF block; use standardize in place of "
        "batch_norm, or train by maximum likelihood (objective 'ml')");
  for (const Block& block : flow.blocks)
    if (is_cnf(block) && row_of(std::get<Cnf>(block).net.layer).form.hypernet)
      refuse("gives every row a time of its own, which hyper layers do not take; use concatsquash");
}

// Where the elements of each CNF block's rows lie in a row before the first of them.
std::vector<std::vector<std::uint32_t>> places_of_blocks(const FlowDescription& flow) {
  const auto shapes = validate(flow);
  std::vector<std::vector<std::uint32_t>> places;
  int squeezes = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < flow.blocks.size(); ++i) {
    if (is_squeeze(flow.blocks[i]) && !places.empty()) ++squeezes;
    if (!is_cnf(flow.blocks[i])) continue;
    if (places.empty()) first = i;
    const std::vector<int>& shape = shapes[first];
    const bool image = shape.size() == 3;
    places.push_back(squeezed_places(image ? shape[0] : static_cast<int>(element_count(shape)),
                                     image ? Plane{shape[1], shape[2]} : Plane{}, squeezes));
  }
  return places;
}

// Rows of x₁ in an order that brings each near its row of x₀, group by group.
void couple(std::size_t count, std::size_t size, const std::vector<double>& x0,
            std::vector<double>& x1) {
  const std::vector<double> drawn = x1;
  for (std::size_t first = 0; first < count; first += kCoupledRows) {
    const std::size_t n = std::min(kCoupledRows, count - first);
    std::vector<double> cost(n * n);
    for (std::size_t a = 0; a < n; ++a)
      for (std::size_t b = 0; b < n; ++b) {
        double inner = 0;  // ‖x₀ − x₁‖² up to what no assignment changes
        for (std::size_t i = 0; i < size; ++i)
          inner += x0[(first + a) * size + i] * drawn[(first + b) * size + i];
        cost[a * n + b] = -inner;
      }
    const auto column_of = optimal_assignment(cost, n);
    for (std::size_t a = 0; a < n; ++a)
      std::copy_n(drawn.begin() + (first + column_of[a]) * size, size,
                  x1.begin() + (first + a) * size);
  }
}

// Rows on the host, behind the fixed transforms.
std::vector<double> rows_of(const Flow& flow, const RowSource& source, std::size_t values) {
  if (!source.set) return source.given.as<double>();
  std::vector<double> rows(values);
  flow.gather(source, rows);
  return rows;
}

// One s a row: stratum r of the whole batch moved around by an offset that all share, so that no
// row keeps its own.
std::vector<double> places(const Noise& noise, std::size_t count, const BatchShare& share) {
  const std::size_t whole = share.whole_of(count);
  const auto draw = [&](std::size_t row, std::span<double> u) {
    fill_noise<double>(NoiseLaw::Uniform, {noise.seed, noise.call, kBaseBlock, 1},
                       noise.row_offset + static_cast<std::uint32_t>(row - share.first), 1, u);
  };
  std::vector<double> s(count);
  double offset = 0;
  draw(share.first, s);
  draw(whole, std::span(&offset, 1));
  for (std::size_t r = 0; r < count; ++r) {
    s[r] = (double(share.first + r) + s[r]) / double(whole) + offset;
    s[r] -= std::floor(s[r]);
  }
  return s;
}

}  // namespace

FlowMatching::FlowMatching(const Flow& flow, Coupling coupling)
    : coupling_(coupling),
      size_(element_count(flow.description().shape)),
      end_times_(flow.end_times()) {
  const FlowDescription& description = flow.description();
  check_blocks(description);
  places_ = places_of_blocks(description);
  if (coupling == Coupling::Optimal && description.context.size > 0)
    refuse("with a context takes coupling 'independent': an optimal one would change the base");
}

double FlowMatching::loss(Flow& flow, const Batch& batch, double weight) const {
  const std::size_t count = batch.count, blocks = end_times_.size();
  const double whole = double(batch.share.whole_of(count));
  const std::vector<double> s = places(batch.noise, count, batch.share);
  std::vector<double> losses(count);  // a row
  const auto mean = [&] {
    return sum_of_rows(Slots(count, batch.share),
                       [&](std::size_t row) { return losses[row] / whole; });
  };
  const bool may_stay = batch.x0.set && blocks == 1 && coupling_ == Coupling::Independent;
  if (may_stay && flow.match({count, batch.x0, batch.context, batch.noise, s, end_times_[0],
                              weight / whole, losses}))
    return mean();

  const std::vector<double> x0 = rows_of(flow, batch.x0, count * size_);
  std::vector<double> x1(count * size_);
  fill_noise<double>(NoiseLaw::Gaussian, {batch.noise.seed, batch.noise.call, kBaseBlock, 0},
                     batch.noise.row_offset, size_, x1);
  if (coupling_ == Coupling::Optimal) couple(count, size_, x0, x1);
  const std::vector<double> context =
      rows_of(flow, batch.context, count * std::size_t(flow.description().context.size));
  const std::size_t context_size = context.size() / count;

  for (std::size_t i = 0; i < blocks; ++i) {
    VelocityRequest request;
    request.block = static_cast<int>(i);
    // Of several blocks each has rows that follow from s, not a run of slots.
    if (blocks == 1) request.share = batch.share;
    std::vector<std::size_t> rows;  // whose s falls to this block
    std::vector<double> z, line, contexts;
    for (std::size_t r = 0; r < count; ++r) {
      const double within = s[r] * double(blocks) - double(i);
      if (within < 0 || within >= 1) continue;
      rows.push_back(r);
      request.times.push_back(within * end_times_[i]);
      for (const std::uint32_t place : places_[i]) {
        const std::size_t k = r * size_ + place;
        z.push_back(x0[k] + s[r] * (x1[k] - x0[k]));
        line.push_back(x1[k] - x0[k]);
      }
      contexts.insert(contexts.end(), context.begin() + r * context_size,
                      context.begin() + (r + 1) * context_size);
    }
    if (request.times.empty()) continue;
    request.batch = request.times.size();
    request.z = z;
    request.context = contexts;
    std::vector<double> losses_of_block(rows.size());
    flow.velocity_regression(
        request, {line, double(blocks) * end_times_[i], weight / whole, losses_of_block});
    for (std::size_t r = 0; r < rows.size(); ++r) losses[rows[r]] = losses_of_block[r];
  }
  return mean();
}

}  // namespace ffjord
