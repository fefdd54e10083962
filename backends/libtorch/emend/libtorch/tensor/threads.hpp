#pragma once

#include <emend/core/executor.hpp>

#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

namespace emend {

/// The executor that runs on LibTorch's own threads: as many as at::get_num_threads() says.
/// at::parallel_for of the headers does so only where the user's code is compiled with OpenMP; a TensorIterator's loop
/// is compiled in the library.
struct torch_threads {
  template <class F>
  void for_each_chunk(index n, F&& f) const {
    if (n <= 0) return;
    // Only the addresses count: the loop says by them which elements a thread is to do.
    const at::Tensor range = at::empty({n}, at::TensorOptions().dtype(at::kByte));
    const char* first = static_cast<const char*>(range.const_data_ptr());
    at::TensorIterator iterator = at::TensorIteratorConfig()
                                      .resize_outputs(false)
                                      .declare_static_shape({n})
                                      .check_all_same_dtype(false)
                                      .add_output(range)
                                      .build();
    iterator.for_each(
        [&](char** data, const std::int64_t*, std::int64_t inner, std::int64_t outer) {
          const index begin = data[0] - first;
          f(begin, begin + inner * outer);
        },
        1);
  }
};
static_assert(executor<const torch_threads>);

}  // namespace emend
