#pragma once

// emend over LibTorch: scores in tensors (tensor_backend), losses that autograd differentiates (loss), columns and
// layouts of tensors (tensor_column), statistics and algorithms from tensors to tensors (tensor_statistics,
// tensor_algorithms), heads on any device (device_scores, device_linear_scores), where a loss is called once for all
// tokens (tensor_number) and algorithms are operations (device_algorithms).

#include <emend/libtorch/device_linear_scores.hpp>
#include <emend/libtorch/device_scores.hpp>
#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/tensor_algorithms.hpp>
#include <emend/libtorch/tensor_backend.hpp>
#include <emend/libtorch/tensor_column.hpp>
#include <emend/libtorch/tensor_number.hpp>
#include <emend/libtorch/tensor_statistics.hpp>
#include <emend/libtorch/torch_threads.hpp>
