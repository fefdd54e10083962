// The cases over tensors of LibTorch.

#include "score_block.hpp"

#include <emend/libtorch/tensor/backend.hpp>

namespace golden {
namespace {

const auto make = [](emend::index rows, emend::index columns, bool is_double) {
  return at::empty({rows, columns}, at::TensorOptions().dtype(is_double ? at::kDouble : at::kFloat));
};
const store_of<at::Tensor, decltype(make)> store(make);
const known_store known("libtorch", store);

}  // namespace
}  // namespace golden
