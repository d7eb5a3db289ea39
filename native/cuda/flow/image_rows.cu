#include <memory>
#include <span>
#include <vector>

#include "core/fixed_transform.h"
#include "cuda/device/grid.h"
#include "cuda/device/memory.h"
#include "cuda/flow/element_rows.h"
#include "cuda/flow/image_rows.h"

namespace ffjord::cuda {
namespace {

// A batch of images as a visit reads it.
struct VisitedBatch {
  VisitRule rule;
  std::uint32_t visit = 0;
  const std::uint8_t* levels = nullptr;    // (N, size)
  const std::uint32_t* indices = nullptr;  // (batch)
  std::size_t batch = 0, size = 0;
};

// x (batch, size) in float64, whose last bits the logit of a level near 0 or 255 needs. One thread
// four neighbours, which share ten rounds of Philox, and ten more where images are flipped: about
// 120 integer operations, 4 bytes read and 32 written; normal noise takes some hundred operations
// in float64 more, a number. 40 registers.
__global__ void visit_images(VisitedBatch s, double* x) {
  const std::size_t quads = (s.size + 3) / 4, at = flat_index();
  if (at >= s.batch * quads) return;
  const std::size_t i = at / quads, quad = at % quads;
  const std::uint32_t row = s.indices[i];
  const bool flipped = is_flipped(s.rule, s.visit, row);
  const PhiloxBlock words = words_of_visit(s.rule, s.visit, row, static_cast<std::uint32_t>(quad));
  for (std::size_t j = 0; j < 4 && 4 * quad + j < s.size; ++j) {
    const std::size_t element = 4 * quad + j;
    const std::uint8_t level = s.levels[row * s.size + place_in_row(s.rule, flipped, element)];
    x[i * s.size + element] = number_of_level(s.rule.law, level, words[j]);
  }
}

// One thread a number: 8 bytes read and 4 written.
__global__ void round_rows(const double* x, std::size_t count, float* rounded) {
  const std::size_t at = flat_index();
  if (at < count) rounded[at] = static_cast<float>(x[at]);
}

// One transform of the run, over the rows of a batch in place.
class ElementStep {
 public:
  virtual ~ElementStep() = default;
  virtual void map(std::size_t batch, double* x, double* delta_logp) const = 0;
};

template <class Element>
class ElementsStep : public ElementStep {
 public:
  ElementsStep(const std::vector<Element>& elements, const Stream& stream)
      : stream_(stream), elements_(elements.size(), stream) {
    elements_.copy_in(elements, stream);
  }
  void map(std::size_t batch, double* x, double* delta_logp) const override {
    map_element_rows<Element, double>({static_cast<int>(batch), static_cast<int>(elements_.size()),
                                       elements_.data(), x, delta_logp},
                                      stream_);
  }

 private:
  const Stream& stream_;
  DeviceArray<Element> elements_;  // (D)
};

class KeptImages : public DeviceImages<float> {
 public:
  KeptImages(const ImageBytes& images, std::span<const Block> run, const FlowStream& stream)
      : stream_(stream),
        rule_(images.rule),
        size_(images.size),
        levels_(images.levels.size(), stream) {
    levels_.copy_in(images.levels, stream);
    for (const Block& block : run)
      with_element_map(block, [&](const auto& transform) {
        using Element = decltype(element_of(transform, 0));
        std::vector<Element> elements;
        for (std::size_t i = 0; i < size_; ++i) elements.push_back(element_of(transform, i));
        steps_.push_back(std::make_unique<ElementsStep<Element>>(elements, stream));
      });
  }

  void visit(std::span<const std::uint32_t> indices, std::uint32_t visit, std::span<float> z,
             std::span<float> delta_logp) override {
    stream_.enter();
    const std::size_t batch = indices.size();
    DeviceArray<std::uint32_t> places(batch, stream_);
    places.copy_in(indices, stream_);
    DeviceArray<double> x(batch * size_, stream_), log_determinant(batch, stream_);
    log_determinant.fill(0, stream_);
    const VisitedBatch s{rule_, visit, levels_.data(), places.data(), batch, size_};
    launch("visit_images", visit_images, flat_shape(batch * ((size_ + 3) / 4)), stream_, s,
           x.data());
    for (const auto& step : steps_) step->map(batch, x.data(), log_determinant.data());
    round(x, z);
    round(log_determinant, delta_logp);
  }

 private:
  void round(const DeviceArray<double>& exact, std::span<float> rounded) const {
    launch("round_rows", round_rows, flat_shape(exact.size()), stream_, exact.data(), exact.size(),
           rounded.data());
  }

  const FlowStream& stream_;
  const VisitRule rule_;
  const std::size_t size_;
  DeviceArray<std::uint8_t> levels_;  // (N, size)
  std::vector<std::unique_ptr<ElementStep>> steps_;
};

}  // namespace

std::unique_ptr<DeviceImages<float>> keep_images(const ImageBytes& images,
                                                 std::span<const Block> run,
                                                 const FlowStream& stream) {
  return std::make_unique<KeptImages>(images, run, stream);
}

}  // namespace ffjord::cuda
