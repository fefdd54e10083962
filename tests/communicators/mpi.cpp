#include <emend/mpi.hpp>

#include "communicators/suite.hpp"

#include <cstdio>

// Started by mpirun, once a rank: prints what did not hold.
int main(int argc, char** argv) {
  try {
    emend::mpi_communicator too_early;
    return std::puts("a communicator before MPI_Init: expected an exception"), 1;
  } catch (const std::invalid_argument&) {
  }
  MPI_Init(&argc, &argv);
  emend::mpi_communicator ranks;
  const auto found = communicator_suite::run(ranks);
  for (const auto& complaint : found)
    std::printf("rank %d of %d: %s\n", static_cast<int>(ranks.rank()), static_cast<int>(ranks.size()),
                complaint.c_str());
  const bool all_well = emend::sum_over_ranks(ranks, static_cast<double>(found.size())) == 0;
  const bool is_as_asked = argc < 2 || std::to_string(ranks.size()) == argv[1];
  if (!is_as_asked) std::printf("expected %s ranks, got %d\n", argv[1], static_cast<int>(ranks.size()));
  MPI_Finalize();
  return all_well && is_as_asked ? 0 : 1;
}
