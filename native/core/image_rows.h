// Images of a training run: bytes, which become rows anew at every visit (image_visit.h), on the
// device where that keeps them, else on the host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/device_memory.h"
#include "core/errors.h"
#include "core/fixed_run.h"
#include "core/image_visit.h"
#include "core/row_source.h"
#include "core/row_values.h"

namespace ffjord {

/// What the flow's first run of fixed transforms makes of a batch of images.
struct VisitedRows {
  std::vector<double> z;           ///< (B, D)
  std::vector<double> delta_logp;  ///< (B)
};

template <class Real>
class ImageRows : public Rows {
 public:
  /// `memory` and `run` outlive the rows.
  ImageRows(DeviceMemory<Real>& memory, std::size_t count, std::vector<std::uint8_t> levels,
            const VisitRule& rule, const FixedRun& run)
      : memory_(memory), count_(count), levels_(std::move(levels)), rule_(rule), run_(run) {}

  std::size_t count() const override { return count_; }
  std::size_t width() const { return levels_.size() / count_; }

  /// On the host. Throws OutsideSupport with numbers of the data set's rows.
  VisitedRows at(const RowSource& source) const {
    check(source);
    const std::size_t batch = source.indices.size();
    VisitedRows rows{std::vector<double>(batch * width()), std::vector<double>(batch)};
    visit_rows<double>(bytes(), source.indices, source.visit, rows.z);
    try {
      run_.map({batch, width(), rows.z, rows.delta_logp}, Outside::Refuse, nullptr);
    } catch (const OutsideSupport& outside) {
      throw outside.renumbered([&](std::size_t row) { return source.number_of(row); });
    }
    return rows;
  }

  /// The same in the device's memory, rounded; false where the device does not keep the images.
  bool put_on_device(const RowSource& source, RowValues<Real>& z,
                     RowValues<Real>& delta_logp) const {
    check(source);
    if (!asked_) keep();
    if (!kept_) return false;
    kept_->visit(source.indices, source.visit, z.on_device(), delta_logp.on_device());
    return true;
  }

 private:
  void check(const RowSource& source) const {
    for (std::uint32_t index : source.indices) require(index < count_, "row index out of range");
  }
  ImageBytes bytes() const { return {levels_, width(), rule_}; }

  // At the first visit: bytes count as a quarter of a number.
  void keep() const {
    asked_ = true;
    if (memory_.is_host() || !memory_.has_room(levels_.size() / sizeof(Real))) return;
    // What a visit reads lies within these, whatever is drawn.
    const auto number = [&](std::uint8_t level, std::uint32_t word) {
      return number_of_level(rule_.law, level, word);
    };
    const double lowest = number(0, 0), highest = number(255, 0xFFFFFFFFu);
    const bool is_binary = rule_.law == LevelLaw::Bernoulli;
    if (run_.maps_elements(is_binary ? 0 : lowest, is_binary ? 1 : highest, width()))
      kept_ = memory_.keep_images(bytes(), run_.blocks());
  }

  DeviceMemory<Real>& memory_;
  const std::size_t count_;
  const std::vector<std::uint8_t> levels_;  // (count, D)
  const VisitRule rule_;
  const FixedRun& run_;
  mutable bool asked_ = false;
  mutable std::unique_ptr<DeviceImages<Real>> kept_;
};

}  // namespace ffjord
