// The suite of communicators over LibTorch's NCCL: a rank on each device of CUDA.
#include <emend/c10d.hpp>

#include "communicators/processes.hpp"
#include "communicators/suite.hpp"

#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

int run_rank(const std::string& file, int rank, int size) {
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(rank));
  c10::cuda::set_device(device.index());
  const auto group =
      c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::FileStore>(file, size), rank, size);
  emend::c10d_communicator ranks(group, device);
  const auto found = communicator_suite::run(ranks);
  group->shutdown();
  for (const auto& complaint : found) std::printf("rank %d of %d: %s\n", rank, size, complaint.c_str());
  return found.empty() ? 0 : 1;
}

}  // namespace

// nccl_ranks starts a process of itself for each device: nccl_ranks SIZE RANK FILE.
int main(int argc, char** argv) {
  if (argc == 4) return run_rank(argv[3], std::atoi(argv[2]), std::atoi(argv[1]));
  const int devices = c10::cuda::device_count();
  if (devices == 0) return std::puts("skipped: no device of CUDA"), 0;
  std::printf("%d ranks\n", devices);
  std::fflush(stdout);
  return run_ranks(argv[0], devices);
}
