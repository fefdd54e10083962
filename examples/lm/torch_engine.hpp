#pragma once

#include <memory>
#include <string>

#include <lm/engine.hpp>

namespace lm {

/// The transformer by LibTorch's operations, its gradients by autograd, on a device ("cpu", "cuda", "cuda:1"). Weights,
/// scores and gradients go there and come back at each pass. The operations run on one thread of the host: the examples
/// run models side by side. Throws std::runtime_error if there is no such device. Linked where LibTorch was found
/// (EMEND_EXAMPLE_LIBTORCH).
template <class T>
std::unique_ptr<engine<T>> torch_engine(const std::string& device);
extern template std::unique_ptr<engine<float>> torch_engine(const std::string& device);
extern template std::unique_ptr<engine<double>> torch_engine(const std::string& device);

}  // namespace lm
