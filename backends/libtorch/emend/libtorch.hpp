#pragma once

// emend over LibTorch, in four layers, of which each includes only those before it:
//   tensor/     tensors as scores, columns, layouts, numbers and tokens of the core
//   head/       statistics and gradients of scores, on any device, by ATen's operations
//   loss/       losses that autograd differentiates, each called once for all tokens
//   algorithm/  advantages, rewards and weights by operations
// What a program calls: loss.hpp with options.hpp, statistics.hpp, algorithms.hpp.

#include <emend/libtorch/algorithms.hpp>
#include <emend/libtorch/head/linear_scores.hpp>
#include <emend/libtorch/head/scores.hpp>
#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/options.hpp>
#include <emend/libtorch/statistics.hpp>
#include <emend/libtorch/tensor/as_tensor.hpp>
#include <emend/libtorch/tensor/backend.hpp>
#include <emend/libtorch/tensor/column.hpp>
#include <emend/libtorch/tensor/layout.hpp>
#include <emend/libtorch/tensor/number.hpp>
#include <emend/libtorch/tensor/threads.hpp>
