include(${CMAKE_CURRENT_LIST_DIR}/emend-cuda-targets.cmake)
