#pragma once

#include <emend/base/errors.hpp>
#include <emend/training/communicator.hpp>

// The C interface alone: the C++ bindings that some installations still bring are gone from the standard.
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <climits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace emend {

/// A communicator over the processes of an MPI group.
///   int main(int argc, char** argv) {
///     MPI_Init(&argc, &argv);
///     emend::mpi_communicator ranks(MPI_COMM_WORLD);
///     emend::train_ppo(policy, reference, critic, prompts, score, options, 0, 100, on_iteration, ranks);
///     MPI_Finalize();
///   }
/// Initialising and finalising MPI, and the group itself, are the caller's; use it from one thread at a time.
/// Throws std::invalid_argument if MPI is not initialised or the group is null, std::runtime_error with MPI's words if
/// an operation fails and the group's error handler returns (MPI's own default ends the job). Sums are MPI_Allreduce's,
/// which has the same bits on every rank in Open MPI and MPICH. Cost: one collective operation a call, nothing copied.
class mpi_communicator {
 public:
  explicit mpi_communicator(MPI_Comm group = MPI_COMM_WORLD) : group_(group) {
    int is_initialised = 0;
    check(MPI_Initialized(&is_initialised));
    if (!is_initialised)
      detail::fail("group", "a group of an initialised MPI: call MPI_Init first", "MPI not initialised");
    if (group == MPI_COMM_NULL) detail::fail("group", "a group of processes", "MPI_COMM_NULL");
    check(MPI_Comm_rank(group_, &rank_));
    check(MPI_Comm_size(group_, &size_));
  }

  index rank() const { return rank_; }
  index size() const { return size_; }

  void all_reduce_sum(std::span<double> x) { reduce(x.data(), x.size(), MPI_DOUBLE); }
  void all_reduce_sum(std::span<float> x) { reduce(x.data(), x.size(), MPI_FLOAT); }

  std::vector<double> all_gather(std::span<const double> own) {
    if (own.size() > static_cast<std::size_t>(INT_MAX))
      detail::fail("own", "at most 2^31 - 1 numbers", std::to_string(own.size()));
    std::vector<double> all(own.size() * static_cast<std::size_t>(size_));
    const int count = static_cast<int>(own.size());
    check(MPI_Allgather(own.data(), count, MPI_DOUBLE, all.data(), count, MPI_DOUBLE, group_));
    return all;
  }

 private:
  template <class T>
  void reduce(T* x, std::size_t left, MPI_Datatype type) {
    // A count is an int there.
    while (left > 0) {
      const std::size_t some = left < static_cast<std::size_t>(INT_MAX) ? left : static_cast<std::size_t>(INT_MAX);
      check(MPI_Allreduce(MPI_IN_PLACE, x, static_cast<int>(some), type, MPI_SUM, group_));
      x += some;
      left -= some;
    }
  }
  static void check(int code) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw std::runtime_error("emend: MPI: " + std::string(text, static_cast<std::size_t>(length)));
  }

  MPI_Comm group_;
  int rank_ = 0, size_ = 1;
};
static_assert(communicator<mpi_communicator>);

}  // namespace emend
