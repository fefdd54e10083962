include(${CMAKE_CURRENT_LIST_DIR}/emend-dlpack-targets.cmake)
