include(${CMAKE_CURRENT_LIST_DIR}/emend-opencv-targets.cmake)
