#include "core/tableau.h"

#include <string>
#include <vector>

#include "core/errors.h"

namespace ffjord {
namespace {

using Row = std::vector<double>;

Tableau make(std::string_view name, int order, bool fsal, const Row& c, const std::vector<Row>& a,
             const Row& b, const Row& e) {
  Tableau t{name, static_cast<int>(c.size()), order, fsal, !e.empty(), {}, {}, {}, {}};
  for (int i = 0; i < t.stages; ++i) {
    t.c[i] = c[i];
    t.b[i] = b[i];
    if (t.adaptive) t.e[i] = e[i];
    for (std::size_t j = 0; j < a[i].size(); ++j) t.a[i][j] = a[i][j];
  }
  return t;
}

// Dormand and Prince 1980; the error weights are Shampine's (1986), as torchdiffeq has them.
Tableau dopri5() {
  const Row b = {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0};
  const Row b_hat = {1951. / 21600,    0,           22642. / 50085, 451. / 720,
                     -12231. / 42400., 649. / 6300, 1. / 60};
  Row e(7);
  for (int i = 0; i < 7; ++i) e[i] = b[i] - b_hat[i];
  return make("dopri5", 5, true, {0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1},
              {{},
               {1. / 5},
               {3. / 40, 9. / 40},
               {44. / 45, -56. / 15, 32. / 9},
               {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
               {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
               {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}},
              b, e);
}

// Tsitouras 2011, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
// assumption", table 1.
Tableau tsit5() {
  const Row b = {
      0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
      2.324710524099774,   0};
  return make("tsit5", 5, true, {0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1},
              {{},
               {0.161},
               {-0.008480655492356989, 0.335480655492357},
               {2.8971530571054935, -6.359448489975075, 4.3622954328695815},
               {5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525},
               {5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
                -0.028269050394068383},
               {0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742,
                -3.290069515436081, 2.324710524099774}},
              b,
              {-0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995,
               -0.1447110071732629, 0.5823571654525552, -0.45808210592918697, 1. / 66});
}

// Bogacki and Shampine 1989.
Tableau bosh3() {
  const Row b = {2. / 9, 1. / 3, 4. / 9, 0};
  const Row b_hat = {7. / 24, 1. / 4, 1. / 3, 1. / 8};
  Row e(4);
  for (int i = 0; i < 4; ++i) e[i] = b[i] - b_hat[i];
  return make("bosh3", 3, true, {0, 1. / 2, 3. / 4, 1},
              {{}, {1. / 2}, {0, 3. / 4}, {2. / 9, 1. / 3, 4. / 9}}, b, e);
}

Tableau euler() { return make("euler", 1, false, {0}, {{}}, {1}, {}); }

// The 3/8 rule, which the reference implementation means by rk4 (Kutta 1901).
Tableau rk4() {
  return make("rk4", 4, false, {0, 1. / 3, 2. / 3, 1}, {{}, {1. / 3}, {-1. / 3, 1}, {1, -1, 1}},
              {1. / 8, 3. / 8, 3. / 8, 1. / 8}, {});
}

}  // namespace

std::span<const Tableau> tableaus() {
  static const std::vector<Tableau> all = {dopri5(), tsit5(), bosh3(), euler(), rk4()};
  return all;
}

const Tableau& tableau(std::string_view name) {
  std::string known;
  for (const Tableau& candidate : tableaus()) {
    if (candidate.name == name) return candidate;
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  throw Error(ErrorCode::InvalidArgument,
              "unknown solver method '" + std::string(name) + "'; known: " + known);
}

}  // namespace ffjord
