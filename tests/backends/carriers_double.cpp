#include "carriers.hpp"

#include <emend/heads/reference.hpp>

namespace {

/// Scores "elsewhere": nothing of the library reads them.
struct remote {
  suite::table on_device;
};

struct transformed {
  double z, slope;
};
transformed transform(const remote& x, const emend::head_request& r, emend::index row, emend::index id) {
  const emend::score_transform& f = r.transform;
  const double temperature = f.temperatures.empty() ? f.temperature : f.temperatures[row];
  const double value = x.on_device(row, id), scaled = f.logit_scale * value;
  if (f.soft_cap == 0 || value == -suite::inf) return {scaled / temperature, f.logit_scale / temperature};
  const double t = std::tanh(scaled / f.soft_cap);
  return {f.soft_cap * t / temperature, f.logit_scale * (1 - t * t) / temperature};
}
std::vector<emend::index> ids_of(const remote& x, const emend::head_request& r, emend::index row) {
  std::vector<emend::index> ids;
  if (r.kept.offsets.empty())
    for (emend::index j = 0; j < x.on_device.vocab; ++j) ids.push_back(j);
  else
    for (emend::index k = r.kept.offsets[row]; k < r.kept.offsets[row + 1]; ++k) ids.push_back(r.kept.ids[k]);
  return ids;
}
bool contains(const std::vector<emend::index>& ids, emend::index id) {
  for (emend::index other : ids)
    if (other == id) return true;
  return false;
}

}  // namespace

template <>
struct emend::backend<remote> {
  static remote like(const remote& x) { return {{x.on_device.rows, x.on_device.vocab}}; }
  static head_shape shape(const remote& x) { return {x.on_device.rows, x.on_device.vocab}; }
  static void forward(const remote& x, const head_request& r, row_statistics* rows, double* scores) {
    for (index row = 0; row < x.on_device.rows; ++row) {
      if (!r.is_active[row]) continue;
      const auto ids = ids_of(x, r, row);
      rows[row] = detail::reference_statistics(
          [&](index k) { return transform(x, r, row, ids[static_cast<std::size_t>(k)]).z; },
          static_cast<index>(ids.size()));
      if (rows[row].arg_max >= 0)
        rows[row].arg_max = ids.empty() ? -1 : ids[static_cast<std::size_t>(rows[row].arg_max)];
    }
    for (index i = 0; i < r.targets.size(); ++i)
      if (r.is_active[r.rows[i]])
        scores[i] =
            contains(ids_of(x, r, r.rows[i]), r.targets[i]) ? transform(x, r, r.rows[i], r.targets[i]).z : -suite::inf;
  }
  static void backward(const remote& x, const head_request& r, const row_statistics* rows, const row_adjoint* adjoints,
                       const double* score_adjoints, remote& g) {
    std::fill(g.on_device.values.begin(), g.on_device.values.end(), 0.0);
    for (index row = 0; row < x.on_device.rows; ++row) {
      if (!r.is_active[row]) continue;
      for (index id : ids_of(x, r, row)) {
        const transformed t = transform(x, r, row, id);
        const double z_gradient = detail::reference_gradient(t.z, id, rows[row], adjoints[row]);
        if (z_gradient != 0) g.on_device(row, id) = t.slope * z_gradient;
      }
    }
    for (index i = 0; i < r.targets.size(); ++i) {
      if (score_adjoints[i] == 0 || !contains(ids_of(x, r, r.rows[i]), r.targets[i])) continue;
      const transformed t = transform(x, r, r.rows[i], r.targets[i]);
      if (t.z != -suite::inf) g.on_device(r.rows[i], r.targets[i]) += t.slope * score_adjoints[i];
    }
  }
};
static_assert(emend::head_scores<remote> && !emend::host_scores<remote>);

namespace suite {

template <>
struct holder<device> {
  using storage = double;
  remote x, out;
  explicit holder(const table& t) : x{t}, out{t} {}
  const remote& scores() const { return x; }
  remote& target() { return out; }
  static const std::vector<double>& read(const remote& g) { return g.on_device.values; }
};

EMEND_COMPILE_CARRIER(plain<double>);
EMEND_COMPILE_CARRIER(strided<double, order::transposed>);
EMEND_COMPILE_CARRIER(strided<double, order::slice>);
EMEND_COMPILE_CARRIER(device);

}  // namespace suite
