find_package(MPI QUIET COMPONENTS CXX)
if(TARGET MPI::MPI_CXX)
  include(${CMAKE_CURRENT_LIST_DIR}/emend-mpi-targets.cmake)
endif()
