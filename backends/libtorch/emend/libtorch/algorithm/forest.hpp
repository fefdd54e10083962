#pragma once

#include <emend/libtorch/tensor/column.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

namespace emend::detail {

// Packed forests on a device, by doubling: what is known of the ancestors near a node tells what those twice as far
// are.

/// Of every node of a forest the node before it, int64 [N]; N where there is none. One that is not earlier counts as
/// none: nothing is brought to the host to see.
inline at::Tensor earlier_parents(const at::Tensor& parent) {
  const tensor_column checked(parent, "parent");
  static_cast<void>(static_cast<const id_column&>(checked));  // throws on what are no ids
  const at::Tensor ids = parent.detach().reshape({-1}).to(at::kLong), own = at::arange(ids.numel(), ids.options());
  return ids.masked_fill((ids < 0).bitwise_or(ids >= own), ids.numel());
}

/// f(ancestor): each node's ancestors 1, 2, 4, .. steps up, int64 [N + 1], the last one standing for none; until they
/// go past the longest chain.
template <class F>
void for_each_doubling(const at::Tensor& parents, F&& f) {
  const index nodes = parents.numel();
  at::Tensor ancestor = at::cat({parents, at::full({1}, nodes, parents.options())});
  for (index reach = 1; reach < nodes; reach *= 2) {
    f(ancestor);
    ancestor = ancestor.index_select(0, ancestor);
  }
}

/// `position_ids`, int64 [N].
inline at::Tensor positions_by_operations(const at::Tensor& parent) {
  const at::Tensor parents = earlier_parents(parent);
  const index nodes = parents.numel();
  at::Tensor position = at::cat({(parents < nodes).to(at::kLong), at::zeros({1}, parents.options())});
  for_each_doubling(parents,
                    [&](const at::Tensor& ancestor) { position = position + position.index_select(0, ancestor); });
  return position.narrow(0, 0, nodes).view(parent.sizes());
}

/// `attention_mask`, bool [N, N].
inline at::Tensor attention_mask_by_operations(const at::Tensor& parent) {
  const at::Tensor parents = earlier_parents(parent), own = at::arange(parents.numel() + 1, parents.options());
  const index nodes = parents.numel();
  at::Tensor sees = own.unsqueeze(1) == own.narrow(0, 0, nodes);
  for_each_doubling(parents,
                    [&](const at::Tensor& ancestor) { sees = sees.bitwise_or(sees.index_select(0, ancestor)); });
  return sees.narrow(0, 0, nodes);
}

}  // namespace emend::detail
