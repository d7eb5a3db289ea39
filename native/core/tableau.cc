#include "core/tableau.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/stiffness.h"

namespace ffjord {
namespace {

using Row = std::vector<double>;

// The cubic through y₀, f₀, y₁ and f₁.
void set_hermite(Tableau& t) {
  for (int i = 0; i < t.stages; ++i) t.dense[i] = {0, 3 * t.b[i], -2 * t.b[i]};
  t.dense[0][0] += 1;
  t.dense[0][1] -= 2;
  t.dense[0][2] += 1;
  t.dense[t.end_stage()][1] -= 1;
  t.dense[t.end_stage()][2] += 1;
  t.dense_order = std::min(t.order, 3);
}

Tableau make(std::string_view name, int order, bool fsal, const Row& c, const std::vector<Row>& a,
             const Row& b, const Row& e) {
  Tableau t{};
  t.name = name;
  t.stages = static_cast<int>(c.size());
  t.order = order;
  t.fsal = fsal;
  t.adaptive = !e.empty();
  for (int i = 0; i < t.stages; ++i) {
    t.c[i] = c[i];
    t.b[i] = b[i];
    if (t.adaptive) t.e[i] = e[i];
    std::copy(a[i].begin(), a[i].end(), t.a[i].begin());
  }
  for (int j = 0; j < t.stages && t.stages > 1; ++j)
    t.last_change[j] = t.a[t.stages - 1][j] - t.a[t.stages - 2][j];
  t.stability_limit = stability_limit(t);
  set_hermite(t);
  return t;
}

void set_dense(Tableau& t, int order, const std::vector<Row>& powers) {
  t.dense = {};
  for (std::size_t i = 0; i < powers.size(); ++i)
    std::copy(powers[i].begin(), powers[i].end(), t.dense[i].begin());
  t.dense_order = order;
}

Row difference(const Row& b, const Row& b_hat) {
  Row e(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) e[i] = b[i] - b_hat[i];
  return e;
}

// Dormand and Prince 1980; the error weights are Shampine's (1986), as torchdiffeq has them.
Tableau dopri5() {
  const Row b = {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0};
  const Row b_hat = {1951. / 21600,    0,           22642. / 50085, 451. / 720,
                     -12231. / 42400., 649. / 6300, 1. / 60};
  Tableau t = make("dopri5", 5, true, {0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1},
                   {{},
                    {1. / 5},
                    {3. / 40, 9. / 40},
                    {44. / 45, -56. / 15, 32. / 9},
                    {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
                    {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
                    {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}},
                   b, difference(b, b_hat));
  // Shampine's y at the middle of a step, and the quartic through y₀, f₀, y_mid, y₁ and f₁.
  const Row middle = {6025192743. / 30085553152. / 2,     0,
                      51252292925. / 65400821598. / 2,    -2691868925. / 45128329728. / 2,
                      187940372067. / 1594534317056. / 2, -1776094331. / 19743644256. / 2,
                      11237099. / 235043384. / 2};
  std::vector<Row> powers;
  for (int i = 0; i < t.stages; ++i)
    powers.push_back(
        {0, -5 * b[i] + 16 * middle[i], 14 * b[i] - 32 * middle[i], -8 * b[i] + 16 * middle[i]});
  const Row f0 = {1, -4, 5, -2}, f1 = {0, 1, -3, 2};
  for (int p = 0; p < 4; ++p) {
    powers.front()[p] += f0[p];
    powers.back()[p] += f1[p];
  }
  set_dense(t, 4, powers);
  return t;
}

// Tsitouras 2011, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
// assumption", table 1; b_i(θ) are its free interpolant, multiplied out.
Tableau tsit5() {
  const Row b = {
      0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
      2.324710524099774,   0};
  Tableau t =
      make("tsit5", 5, true, {0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1},
           {{},
            {0.161},
            {-0.008480655492356989, 0.335480655492357},
            {2.8971530571054935, -6.359448489975075, 4.3622954328695815},
            {5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525},
            {5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
             -0.028269050394068383},
            {0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
             2.324710524099774}},
           b,
           {-0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995,
            -0.1447110071732629, 0.5823571654525552, -0.45808210592918697, 1. / 66});
  set_dense(t, 4,
            {{1, -2.763706197274826, 2.9132554618219126, -1.0530884977290216},
             {0, 0.1317, -0.2234, 0.1017},
             {0, 3.9302962368947516, -5.941033872131505, 2.490627285651253},
             {0, -12.411077166933676, 30.33818863028232, -16.548102889244902},
             {0, 37.50931341651104, -88.1789048947664, 47.37952196281928},
             {0, -27.896526289197286, 65.09189467479368, -34.87065786149661},
             {0, 1.5, -4.0, 2.5}});
  return t;
}

// Bogacki and Shampine 1989.
Tableau bosh3() {
  const Row b = {2. / 9, 1. / 3, 4. / 9, 0};
  const Row b_hat = {7. / 24, 1. / 4, 1. / 3, 1. / 8};
  return make("bosh3", 3, true, {0, 1. / 2, 3. / 4, 1},
              {{}, {1. / 2}, {0, 3. / 4}, {2. / 9, 1. / 3, 4. / 9}}, b, difference(b, b_hat));
}

// Prince and Dormand 1981, RK8(7)13M, with f(t + h, y₁) as a 14th stage; b_i(θ) from Bogacki and
// Shampine 1990, "Interpolating high-order Runge-Kutta formulas".
Tableau dopri8() {
  const Row b = {14005451. / 335480064,
                 0,
                 0,
                 0,
                 0,
                 -59238493. / 1068277825,
                 181606767. / 758867731,
                 561292985. / 797845732,
                 -1041891430. / 1371343529,
                 760417239. / 1151165299,
                 118820643. / 751138087,
                 -528747749. / 2220607170,
                 1. / 4,
                 0};
  const Row b_hat = {13451932. / 455176623,
                     0,
                     0,
                     0,
                     0,
                     -808719846. / 976000145,
                     1757004468. / 5645159321,
                     656045339. / 265891186,
                     -3867574721. / 1518517206,
                     465885868. / 322736535,
                     53011238. / 667516719,
                     2. / 45,
                     0,
                     0};
  Tableau t =
      make("dopri8", 8, true,
           {0, 1. / 18, 1. / 12, 1. / 8, 5. / 16, 3. / 8, 59. / 400, 93. / 200,
            5490023248. / 9719169821, 13. / 20, 1201146811. / 1299019798, 1, 1, 1},
           {{},
            {1. / 18},
            {1. / 48, 1. / 16},
            {1. / 32, 0, 3. / 32},
            {5. / 16, 0, -75. / 64, 75. / 64},
            {3. / 80, 0, 0, 3. / 16, 3. / 20},
            {29443841. / 614563906, 0, 0, 77736538. / 692538347, -28693883. / 1125000000,
             23124283. / 1800000000},
            {16016141. / 946692911, 0, 0, 61564180. / 158732637, 22789713. / 633445777,
             545815736. / 2771057229, -180193667. / 1043307555},
            {39632708. / 573591083, 0, 0, -433636366. / 683701615, -421739975. / 2616292301,
             100302831. / 723423059, 790204164. / 839813087, 800635310. / 3783071287},
            {246121993. / 1340847787, 0, 0, -37695042795. / 15268766246, -309121744. / 1061227803,
             -12992083. / 490766935, 6005943493. / 2108947869, 393006217. / 1396673457,
             123872331. / 1001029789},
            {-1028468189. / 846180014, 0, 0, 8478235783. / 508512852, 1311729495. / 1432422823,
             -10304129995. / 1701304382, -48777925059. / 3047939560, 15336726248. / 1032824649,
             -45442868181. / 3398467696, 3065993473. / 597172653},
            {185892177. / 718116043, 0, 0, -3185094517. / 667107341, -477755414. / 1098053517,
             -703635378. / 230739211, 5731566787. / 1027545527, 5232866602. / 850066563,
             -4093664535. / 808688257, 3962137247. / 1805957418, 65686358. / 487910083},
            {403863854. / 491063109, 0, 0, -5068492393. / 434740067, -411421997. / 543043805,
             652783627. / 914296604, 11173962825. / 925320556, -13158990841. / 6184727034,
             3936647629. / 1978049680, -160528059. / 685178525, 248638103. / 1413531060, 0},
            b},
           b, difference(b, b_hat));
  set_dense(t, 5,
            {{1, -6.6910181737837595, 19.999006933368396, -30.061056828966645, 22.139650499809406,
              -6.34483493928604},
             {},
             {},
             {},
             {},
             {0, -7.6142658045872675, 52.227353279294555, -121.49996277313346, 116.44221495503422,
              -39.61079198522025},
             {0, 10.728139263042886, -46.89191641810936, 83.17210046398478, -67.14513188259572,
              20.376121380879145},
             {0, 0.5526637063753649, -0.18908932250105956, 9.572450755599366, -16.56722435274965,
              7.334709882679536},
             {0, 4.218656262566515, -35.70759759462221, 87.84060576772056, -89.9916014847245,
              32.88017743524592},
             {0, -0.6627209125361597, 6.273644808324035, -17.415210777076297, 22.623748964853284,
              -10.158899052642676},
             {0, -1.2636789001135462, 10.316088127245076, -28.590328951479076, 32.23623401673554,
              -12.540126809878256},
             {0, 5.410603789859042, -34.76507698666118, 81.66309505843414, -82.10203154883598,
              29.555300148451604},
             {0, -7.032137906794574, 47.745797107822554, -114.93752913770093, 116.26621857911195,
              -41.79234864243906},
             {0, 2.3537586759714983, -19.008209934160803, 50.255836422617605, -53.90207774663854,
              20.300692582210083}});
  return t;
}

// Heun's method with Euler's as the embedded one.
Tableau adaptive_heun() {
  return make("adaptive_heun", 2, false, {0, 1}, {{}, {1}}, {1. / 2, 1. / 2}, {-1. / 2, 1. / 2});
}

// Fehlberg 1969, RKF1(2), the second-order solution propagated.
Tableau fehlberg2() {
  return make("fehlberg2", 2, false, {0, 1. / 2, 1}, {{}, {1. / 2}, {1. / 256, 255. / 256}},
              {1. / 512, 255. / 256, 1. / 512}, {-1. / 512, 0, 1. / 512});
}

Tableau euler() { return make("euler", 1, false, {0}, {{}}, {1}, {}); }

Tableau midpoint() { return make("midpoint", 2, false, {0, 1. / 2}, {{}, {1. / 2}}, {0, 1}, {}); }

// Heun 1900, order 3.
Tableau heun3() {
  return make("heun3", 3, false, {0, 1. / 3, 2. / 3}, {{}, {1. / 3}, {0, 2. / 3}},
              {1. / 4, 0, 3. / 4}, {});
}

// The 3/8 rule, which the reference implementation means by rk4 (Kutta 1901).
Tableau rk4() {
  return make("rk4", 4, false, {0, 1. / 3, 2. / 3, 1}, {{}, {1. / 3}, {-1. / 3, 1}, {1, -1, 1}},
              {1. / 8, 3. / 8, 3. / 8, 1. / 8}, {});
}

// Kutta 1901: the classical one.
Tableau rk4_classic() {
  return make("rk4_classic", 4, false, {0, 1. / 2, 1. / 2, 1},
              {{}, {1. / 2}, {0, 1. / 2}, {0, 0, 1}}, {1. / 6, 1. / 3, 1. / 3, 1. / 6}, {});
}

}  // namespace

std::span<const Tableau> tableaus() {
  // Without a destructor, as threads look at it until the process ends.
  static const std::array all = {dopri5(),        tsit5(),     bosh3(),      dopri8(),
                                 adaptive_heun(), fehlberg2(), euler(),      midpoint(),
                                 heun3(),         rk4(),       rk4_classic()};
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
