#include <emend/libtorch/head/linear_scores.hpp>

#include "carriers.hpp"
#include "other_device.hpp"

#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>

namespace suite {

template <class T>
inline constexpr at::ScalarType dtype_of = std::is_same_v<T, double>     ? at::kDouble
                                           : std::is_same_v<T, float>    ? at::kFloat
                                           : std::is_same_v<T, bfloat16> ? at::kBFloat16
                                                                         : at::kHalf;

/// A tensor of the form with the table's extents; what lies between its elements is NaN.
template <class T>
at::Tensor make_tensor(const table& t, tensor_form form) {
  const auto options = at::TensorOptions().dtype(dtype_of<T>);
  const std::int64_t n = t.rows, v = t.vocab;
  if (form == tensor_form::contiguous) return at::full({n, v}, 77, options);
  if (form == tensor_form::transposed) return at::full({v, n}, 77, options).t();
  const std::int64_t batch = n % 2 == 0 && n > 0 ? 2 : 1;
  return at::full({1, batch, n / batch + 1, 2 * v}, nan, options).slice(2, 0, n / batch).slice(3, 0, 2 * v, 2);
}

template <class T>
void fill(at::Tensor& x, const table& t) {
  backend<at::Tensor>::visit(x, [&](auto view) {
    if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(view.data)>>) write_table(t, view);
  });
}

template <class T, tensor_form Form>
struct holder<tensor<T, Form>> {
  using storage = T;
  at::Tensor x, out;
  explicit holder(const table& t) : x(make_tensor<T>(t, Form)), out(make_tensor<T>(t, Form)) { fill<T>(x, t); }
  const at::Tensor& scores() const { return x; }
  at::Tensor& target() { return out; }
  at::Tensor& same() { return x; }
};

template <class T, tensor_form Form>
struct holder<tensor_chain<T, Form>> {
  using storage = T;
  device_scores x;
  at::Tensor out;
  explicit holder(const table& t) : x{make_tensor<T>(t, Form)}, out(there(make_tensor<T>(t, Form))) {
    fill<T>(x.scores, t);
    x.scores = there(x.scores);
  }
  static bool is_elsewhere() { return !other_device().is_cpu(); }
  static std::vector<double> read(const at::Tensor& gradient) { return values_of(gradient.cpu()); }
  const device_scores& scores() const { return x; }
  at::Tensor& target() { return out; }
  at::Tensor& same() { return x.scores; }
};

/// Hidden states that are the scores, and the identity as weight.
template <class T>
struct product_parts {
  at::Tensor hidden, identity;
  linear_gradient<at::Tensor, at::Tensor> out;
  explicit product_parts(const table& t)
      : hidden(make_tensor<T>(t, tensor_form::contiguous)),
        identity(at::eye(t.vocab, hidden.options())),
        out{at::full_like(hidden, 77), at::full_like(identity, 77)} {
    fill<T>(hidden, t);
  }
  static std::vector<double> read(const linear_gradient<at::Tensor, at::Tensor>& g) {
    return values_of(g.d_hidden.cpu());
  }
  linear_gradient<at::Tensor, at::Tensor>& target() { return out; }
};
template <class T>
struct holder<tensor_product<T>> : product_parts<T> {
  using storage = T;
  static constexpr bool is_product = true;
  linear_scores<at::Tensor, at::Tensor> x{this->hidden, this->identity};
  using product_parts<T>::product_parts;
  const linear_scores<at::Tensor, at::Tensor>& scores() const { return x; }
};
template <class T>
struct holder<tensor_product_chain<T>> : product_parts<T> {
  using storage = T;
  static constexpr bool is_product = true;
  static bool is_elsewhere() { return !other_device().is_cpu(); }
  device_scores states{there(this->hidden)}, weight{there(this->identity)};
  linear_scores<device_scores, device_scores> x{states, weight};
  explicit holder(const table& t) : product_parts<T>(t) {
    this->out = {there(this->out.d_hidden), there(this->out.d_weight)};
  }
  const linear_scores<device_scores, device_scores>& scores() const { return x; }
};

using enum tensor_form;
EMEND_COMPILE_CARRIER(tensor<float, contiguous>);
EMEND_COMPILE_CARRIER(tensor<double, transposed>);
EMEND_COMPILE_CARRIER(tensor<bfloat16, tensor_form::slice>);
EMEND_COMPILE_CARRIER(tensor<float16, contiguous>);
EMEND_COMPILE_CARRIER(tensor<float, tensor_form::slice>);
EMEND_COMPILE_CARRIER(tensor_chain<float, contiguous>);
EMEND_COMPILE_CARRIER(tensor_chain<double, tensor_form::slice>);
EMEND_COMPILE_CARRIER(tensor_chain<bfloat16, transposed>);
EMEND_COMPILE_CARRIER(tensor_product<float>);
EMEND_COMPILE_CARRIER(tensor_product_chain<float>);
EMEND_COMPILE_CARRIER(tensor_product_chain<double>);

}  // namespace suite
