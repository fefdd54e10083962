#pragma once

// emend over LibTorch: scores in tensors (tensor_backend), losses that autograd differentiates (loss), columns and layouts of tensors
// (tensor_column), algorithms from tensors to tensors (tensor_algorithms), heads on any device (device_scores, device_linear_scores).

#include <emend/libtorch/device_linear_scores.hpp>
#include <emend/libtorch/device_scores.hpp>
#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/tensor_algorithms.hpp>
#include <emend/libtorch/tensor_backend.hpp>
#include <emend/libtorch/tensor_column.hpp>
#include <emend/libtorch/torch_threads.hpp>
