find_package(xtensor QUIET)
if(TARGET xtensor)
  include(${CMAKE_CURRENT_LIST_DIR}/emend-xtensor-targets.cmake)
endif()
