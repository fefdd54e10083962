#pragma once

#include <emend/core/backend.hpp>
#include <emend/core/strided_block.hpp>

#include <dlpack/dlpack.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace emend {

/// A tensor with memory of its own in DLPack's form: the gradient of scores that came through DLPack.
/// Row-major, aligned to 256 bytes, in this process's memory. Movable.
class dlpack_tensor {
 public:
  /// Contents unspecified.
  dlpack_tensor(std::span<const std::int64_t> shape, DLDataType type) : state_(std::make_unique<state>()) {
    state_->shape.assign(shape.begin(), shape.end());
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    const std::size_t bytes = count * type.bits / 8;
    state_->memory.reset(static_cast<std::byte*>(std::aligned_alloc(256, (bytes + 256) / 256 * 256)));
    if (!state_->memory) throw std::bad_alloc();
    state_->managed.dl_tensor = {.data = state_->memory.get(),
                                 .device = {kDLCPU, 0},
                                 .ndim = static_cast<int>(shape.size()),
                                 .dtype = type,
                                 .shape = state_->shape.data(),
                                 .strides = nullptr,
                                 .byte_offset = 0};
    state_->managed.manager_ctx = state_.get();
    state_->managed.deleter = [](DLManagedTensor* self) { delete static_cast<state*>(self->manager_ctx); };
  }

  const DLTensor& tensor() const { return state_->managed.dl_tensor; }
  DLTensor& tensor() { return state_->managed.dl_tensor; }
  /// Hands the tensor over: whoever takes it calls its deleter. This object is then empty and can only be destroyed or
  /// assigned to.
  DLManagedTensor* release() && { return &state_.release()->managed; }

 private:
  struct free_memory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  struct state {
    DLManagedTensor managed{};
    std::vector<std::int64_t> shape;
    std::unique_ptr<std::byte, free_memory> memory;
  };
  std::unique_ptr<state> state_;
};

namespace detail {

/// DLManagedTensor, and DLManagedTensorVersioned where the header has it.
template <class X>
concept dlpack_managed = requires(X& x) {
  { x.dl_tensor } -> std::same_as<DLTensor&>;
  x.manager_ctx;
};

/// f(score_view<T>) of the tensor, T by its dtype. Throws std::invalid_argument naming `argument` unless it is in this
/// process's memory and of float, double, bfloat16 or float16.
template <bool IsConst, class F>
void visit_dlpack(const char* argument, const DLTensor& x, F&& f) {
  const auto type = x.device.device_type;
  if (type != kDLCPU && type != kDLCUDAHost && type != kDLROCMHost && type != kDLCUDAManaged)
    fail(argument, "a tensor in this process's memory; copy it to the CPU first",
         "device type " + std::to_string(static_cast<int>(type)));
  if (x.ndim < 0 || (x.ndim > 0 && !x.shape))
    fail(argument, "a shape of ndim extents", "ndim " + std::to_string(x.ndim));
  const auto dimensions = static_cast<std::size_t>(x.ndim);
  std::vector<std::int64_t> strides(dimensions);
  std::int64_t step = 1;
  for (std::size_t d = dimensions; d-- > 0;) {
    strides[d] = x.strides ? x.strides[d] : step;
    step *= x.shape[d];
  }
  auto* const data = static_cast<std::byte*>(x.data) + x.byte_offset;
  const auto call = [&]<class T>(T*) {
    using element = std::conditional_t<IsConst, const T, T>;
    f(strided_block(argument, reinterpret_cast<element*>(data), std::span(x.shape, dimensions), strides));
  };
  const int code = x.dtype.code, bits = x.dtype.bits;
  if (x.dtype.lanes != 1) fail(argument, "1 lane", std::to_string(x.dtype.lanes));
  if (code == kDLFloat && bits == 32)
    call(static_cast<float*>(nullptr));
  else if (code == kDLFloat && bits == 64)
    call(static_cast<double*>(nullptr));
  else if (code == kDLFloat && bits == 16)
    call(static_cast<float16*>(nullptr));
  else if (code == kDLBfloat && bits == 16)
    call(static_cast<bfloat16*>(nullptr));
  else
    fail(argument, "float, double, bfloat16 or float16",
         "DLPack's type code " + std::to_string(code) + " of " + std::to_string(bits) + " bits");
}

}  // namespace detail

/// Scores in a DLTensor of any framework, in this process's memory: the last dimension is the vocabulary; any strides;
/// float, double, bfloat16, float16. Gradients are a `dlpack_tensor`, which can be handed on. Throws
/// std::invalid_argument on another device or dtype.
template <>
struct backend<DLTensor> {
  static dlpack_tensor like(const DLTensor& x) {
    return {std::span<const std::int64_t>(x.shape, static_cast<std::size_t>(x.ndim)), x.dtype};
  }
  template <class F>
  static void visit(const DLTensor& x, F&& f) {
    detail::visit_dlpack<true>("scores", x, f);
  }
  template <class F>
  static void visit(DLTensor& x, F&& f) {
    detail::visit_dlpack<false>("gradient", x, f);
  }
};

template <>
struct backend<dlpack_tensor> {
  static dlpack_tensor like(const dlpack_tensor& x) { return backend<DLTensor>::like(x.tensor()); }
  template <class F>
  static void visit(const dlpack_tensor& x, F&& f) {
    detail::visit_dlpack<true>("scores", x.tensor(), f);
  }
  template <class F>
  static void visit(dlpack_tensor& x, F&& f) {
    detail::visit_dlpack<false>("gradient", x.tensor(), f);
  }
};

/// The same for what frameworks exchange. A versioned tensor that is marked as read-only is no gradient: throws
/// std::invalid_argument.
template <detail::dlpack_managed X>
struct backend<X> {
  static dlpack_tensor like(const X& x) { return backend<DLTensor>::like(x.dl_tensor); }
  template <class F>
  static void visit(const X& x, F&& f) {
    detail::visit_dlpack<true>("scores", x.dl_tensor, f);
  }
  template <class F>
  static void visit(X& x, F&& f) {
    if constexpr (requires { x.flags; })
      if ((x.flags & 1) != 0) detail::fail("gradient", "a tensor that may be written", "one marked as read-only");
    detail::visit_dlpack<false>("gradient", x.dl_tensor, f);
  }
};

static_assert(host_scores<DLTensor> && host_scores<DLManagedTensor> && host_scores<dlpack_tensor>);

}  // namespace emend
