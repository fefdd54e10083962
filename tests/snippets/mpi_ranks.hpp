#pragma once

// What main() has.
namespace snippets::mpi_ranks {

inline int argc = 0;
inline char** argv = nullptr;

}  // namespace snippets::mpi_ranks
