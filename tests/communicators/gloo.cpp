#include <emend/c10d.hpp>

#include "communicators/processes.hpp"
#include "communicators/suite.hpp"

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

/// One rank, over the loopback.
int run_rank(const std::string& file, int rank, int size) {
  auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(60));
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  emend::c10d_communicator ranks(c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::FileStore>(file, size), rank, size, options));
  const auto found = communicator_suite::run(ranks);
  for (const auto& complaint : found) std::printf("rank %d of %d: %s\n", rank, size, complaint.c_str());
  return found.empty() ? 0 : 1;
}

}  // namespace

// gloo_ranks SIZE starts SIZE processes of itself: gloo_ranks SIZE RANK FILE.
int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) return std::puts("usage: gloo_ranks SIZE [RANK FILE]"), 2;
  const int size = std::atoi(argv[1]);
  if (argc == 4) return run_rank(argv[3], std::atoi(argv[2]), size);
  try {
    emend::c10d_communicator none(nullptr);
    return std::puts("a communicator over no group: expected an exception"), 1;
  } catch (const std::invalid_argument&) {
  }
  return run_ranks(argv[0], size);
}
