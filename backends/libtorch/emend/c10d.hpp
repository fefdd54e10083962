#pragma once

#include <emend/base/errors.hpp>
#include <emend/training/communicator.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace emend {

/// A communicator over a process group of LibTorch: Gloo between CPUs, NCCL between GPUs.
///   auto store = c10::make_intrusive<c10d::TCPStore>(address, store_options);
///   auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, group_options);
///   emend::c10d_communicator ranks(group);
/// device: where the group's tensors lie; NCCL wants a GPU of its own for each rank, and every call then copies there
/// and back. Throws std::invalid_argument if the group is null, c10::Error if an operation fails or times out. Sums
/// have the same bits on every rank, as both engines pass the sum of each entry on. Cost: one collective operation a
/// call; on the CPU nothing is copied but what is gathered.
class c10d_communicator {
 public:
  explicit c10d_communicator(c10::intrusive_ptr<c10d::Backend> group, at::Device device = at::kCPU)
      : group_(std::move(group)), device_(device) {
    if (!group_) detail::fail("group", "a process group", "a null pointer");
  }

  index rank() const { return group_->getRank(); }
  index size() const { return group_->getSize(); }

  void all_reduce_sum(std::span<double> x) { reduce(x, at::kDouble); }
  void all_reduce_sum(std::span<float> x) { reduce(x, at::kFloat); }

  std::vector<double> all_gather(std::span<const double> own) {
    std::vector<double> all(own.size() * static_cast<std::size_t>(size()));
    if (own.empty()) return all;
    const auto count = static_cast<std::int64_t>(own.size());
    std::vector<at::Tensor> input{view_of(const_cast<double*>(own.data()), count, at::kDouble).to(device_)};
    std::vector<std::vector<at::Tensor>> output(1);
    for (index r = 0; r < size(); ++r) output[0].push_back(at::empty({count}, input[0].options()));
    group_->allgather(output, input)->wait();
    for (index r = 0; r < size(); ++r)
      view_of(all.data() + r * count, count, at::kDouble).copy_(output[0][static_cast<std::size_t>(r)]);
    return all;
  }

 private:
  template <class T>
  static at::Tensor view_of(T* x, std::int64_t count, at::ScalarType type) {
    return at::from_blob(x, {count}, at::TensorOptions().dtype(type));
  }
  template <class T>
  void reduce(std::span<T> x, at::ScalarType type) {
    if (x.empty()) return;  // empty on every rank
    const at::Tensor here = view_of(x.data(), static_cast<std::int64_t>(x.size()), type);
    std::vector<at::Tensor> there{here.to(device_)};
    group_->allreduce(there)->wait();
    if (!there[0].is_same(here)) here.copy_(there[0]);
  }

  c10::intrusive_ptr<c10d::Backend> group_;
  at::Device device_;
};
static_assert(communicator<c10d_communicator>);

}  // namespace emend
