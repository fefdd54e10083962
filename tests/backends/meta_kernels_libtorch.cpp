// The tests' meta device: shapes of what operations give, for those whose meta kernels torch has in Python alone.
#include <torch/library.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <tuple>
#include <vector>

namespace {

at::Tensor shape_of_where(const at::Tensor& condition, const at::Tensor& x, const at::Tensor& y) {
  return at::empty((x.dim() >= y.dim() ? x : y).sizes(),
                   (x.dim() >= y.dim() ? x : y).options().device(condition.device()));
}
at::Tensor& shape_of_abs(const at::Tensor& x, at::Tensor& out) { return out.resize_(x.sizes()), out; }
at::Tensor shape_of_flipped(const at::Tensor& x, at::IntArrayRef) { return at::empty_like(x); }
std::tuple<at::Tensor, at::Tensor> shape_of_cumulative(const at::Tensor& x, std::int64_t) {
  return {at::empty_like(x), at::empty_like(x, x.options().dtype(at::kLong))};
}
at::Tensor shape_of_taken(const at::Tensor& x, std::int64_t dimension, const at::Tensor& places) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[static_cast<std::size_t>(dimension)] = places.numel();
  return at::empty(shape, x.options());
}

TORCH_LIBRARY_IMPL(aten, Meta, m) {
  m.impl("where.self", &shape_of_where);
  m.impl("abs.out", &shape_of_abs);
  m.impl("flip", &shape_of_flipped);
  m.impl("cummin", &shape_of_cumulative);
  m.impl("index_select", &shape_of_taken);
}

}  // namespace
