#include "reference/regularisers.h"

#include <cmath>

namespace ffjord::reference {

double row_sum(RowSum kind, const Columns& field, double weight) {
  const Vector& f = field.front();
  const std::size_t dimension = f.size();
  double sum = 0;
  switch (kind) {
    case RowSum::AbsoluteVelocity:
      for (double value : f) sum += std::abs(value);
      return sum;
    case RowSum::SquaredVelocity:
      return dot(f, f);
    case RowSum::SquaredTangents:
      for (std::size_t k = 1; k < field.size(); ++k) sum += weight * dot(field[k], field[k]);
      return sum;
    case RowSum::SquaredDiagonal:
      for (std::size_t i = 0; i < dimension; ++i) sum += field[1 + i][i] * field[1 + i][i];
      return sum;
    case RowSum::SquaredOffDiagonal:
      for (std::size_t j = 0; j < dimension; ++j)
        for (std::size_t i = 0; i < dimension; ++i)
          if (i != j) sum += field[1 + j][i] * field[1 + j][i];
      return sum;
    case RowSum::SquaredDirectional:
      for (std::size_t j = 0; j < dimension; ++j) {
        const double along = dot(f, field[1 + j]);
        sum += along * along;
      }
      return sum;
  }
  return sum;
}

void pull_row_sum(RowSum kind, const Columns& field, double weight, double sum_bar,
                  Columns& field_bars) {
  const Vector& f = field.front();
  const std::size_t dimension = f.size();
  switch (kind) {
    case RowSum::AbsoluteVelocity:
      for (std::size_t i = 0; i < dimension; ++i)
        field_bars[0][i] += sum_bar * ((f[i] > 0) - (f[i] < 0));
      return;
    case RowSum::SquaredVelocity:
      add_scaled(2 * sum_bar, f, field_bars[0]);
      return;
    case RowSum::SquaredTangents:
      for (std::size_t k = 1; k < field.size(); ++k)
        add_scaled(2 * weight * sum_bar, field[k], field_bars[k]);
      return;
    case RowSum::SquaredDiagonal:
      for (std::size_t i = 0; i < dimension; ++i)
        field_bars[1 + i][i] += 2 * sum_bar * field[1 + i][i];
      return;
    case RowSum::SquaredOffDiagonal:
      for (std::size_t j = 0; j < dimension; ++j)
        for (std::size_t i = 0; i < dimension; ++i)
          if (i != j) field_bars[1 + j][i] += 2 * sum_bar * field[1 + j][i];
      return;
    case RowSum::SquaredDirectional:
      for (std::size_t j = 0; j < dimension; ++j) {
        const double along_bar = 2 * sum_bar * dot(f, field[1 + j]);
        add_scaled(along_bar, field[1 + j], field_bars[0]);
        add_scaled(along_bar, f, field_bars[1 + j]);
      }
      return;
  }
}

}  // namespace ffjord::reference
