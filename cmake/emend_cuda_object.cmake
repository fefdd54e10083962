# Sources of CUDA in this repository's own programs. CMake's support for the language wants the architectures before it knows the compiler, and
# knows no C++20 of it before 3.26: the objects are compiled by a command.
#
# EMEND_NVCC is the compiler and what every source needs; undefined where there is none, and under sanitizers, which do not see into a device.
find_package(CUDAToolkit QUIET)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
if(NOT CUDAToolkit_NVCC_EXECUTABLE)
  message(STATUS "emend: nvcc not found; left out: what is compiled for devices of CUDA")
elseif(NOT "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}}" MATCHES "sanitize")
  set(EMEND_CUDA_ARCHITECTURE sm_90 CACHE STRING "What tests and benchmarks over CUDA are compiled for; native: the device that is there")
  set(EMEND_NVCC ${CUDAToolkit_NVCC_EXECUTABLE} -std=c++20 --expt-relaxed-constexpr -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}/backends/cuda)
  set(EMEND_NVCC_LIBTORCH)
  if(TARGET LibTorch::cpu)
    get_target_property(EMEND_NVCC_LIBTORCH LibTorch::cpu INTERFACE_INCLUDE_DIRECTORIES)
    list(TRANSFORM EMEND_NVCC_LIBTORCH PREPEND -isystem=)
    list(APPEND EMEND_NVCC_LIBTORCH -DAT_PER_OPERATOR_HEADERS -I${PROJECT_SOURCE_DIR}/backends/libtorch -I${PROJECT_SOURCE_DIR}/backends/libtorch_cuda)
  endif()
endif()

# The object `object` of this folder's build from `source`, a path in this folder; what follows are flags.
function(emend_cuda_object source object)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${object})
  add_custom_command(OUTPUT ${file}
    COMMAND ${EMEND_NVCC} -O2 -arch=${EMEND_CUDA_ARCHITECTURE} -DEMEND_COMPILED_KERNELS ${ARGN} -MD -MF ${file}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${file}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${file}.d COMMENT "Compiling ${source} for devices of CUDA" VERBATIM)
endfunction()
