find_package(Eigen3 3.4 QUIET NO_MODULE)
if(TARGET Eigen3::Eigen)
  include(${CMAKE_CURRENT_LIST_DIR}/emend-eigen-targets.cmake)
endif()
