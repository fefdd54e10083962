include(${CMAKE_CURRENT_LIST_DIR}/emend-libtorch.cmake)
if(TARGET LibTorch::cpu)
  include(${CMAKE_CURRENT_LIST_DIR}/emend-c10d-targets.cmake)
endif()
