// Images of a training run: bytes, which become rows anew at every visit (image_visit.h).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/fixed_run.h"
#include "core/image_visit.h"
#include "core/row_source.h"

namespace ffjord {

/// What the flow's first run of fixed transforms makes of a batch of images.
struct VisitedRows {
  std::vector<double> z;           ///< (B, D)
  std::vector<double> delta_logp;  ///< (B)
};

class ImageRows : public Rows {
 public:
  /// `run` outlives the rows.
  ImageRows(std::size_t count, std::vector<std::uint8_t> levels, const VisitRule& rule,
            const FixedRun& run)
      : count_(count), levels_(std::move(levels)), rule_(rule), run_(run) {}

  std::size_t count() const override { return count_; }
  std::size_t width() const { return levels_.size() / count_; }

  /// Throws OutsideSupport with numbers of the data set's rows.
  VisitedRows at(const RowSource& source) const {
    const std::size_t batch = source.indices.size();
    for (std::uint32_t index : source.indices) require(index < count_, "row index out of range");
    VisitedRows rows{std::vector<double>(batch * width()), std::vector<double>(batch)};
    visit_rows<double>({levels_, width(), rule_}, source.indices, source.visit, rows.z);
    try {
      run_.map({batch, width(), rows.z, rows.delta_logp}, Outside::Refuse, nullptr);
    } catch (const OutsideSupport& outside) {
      throw outside.renumbered([&](std::size_t row) { return source.number_of(row); });
    }
    return rows;
  }

 private:
  const std::size_t count_;
  const std::vector<std::uint8_t> levels_;  // (count, D)
  const VisitRule rule_;
  const FixedRun& run_;
};

}  // namespace ffjord
