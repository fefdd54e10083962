# The tests of the kernels for 64-bit Arm, compiled by a cross-compiler and run by an emulator, once with each instruction
# set pinned, as arm64/SET.
find_program(EMEND_ARM64_COMPILER aarch64-linux-gnu-g++)
find_program(EMEND_ARM64_EMULATOR NAMES qemu-aarch64 qemu-aarch64-static)
if(NOT EMEND_ARM64_COMPILER OR NOT EMEND_ARM64_EMULATOR OR NOT CMAKE_BUILD_TYPE STREQUAL Release)
  message(STATUS "emend: aarch64-linux-gnu-g++ or qemu-aarch64 not found, or not a release; left out: the kernels of NEON under emulation")
  return()
endif()

set(arm64 ${CMAKE_CURRENT_BINARY_DIR}/arm64)
# doctest.h alone: its folder has the headers of another processor, too.
get_target_property(doctest_folder doctest::doctest INTERFACE_INCLUDE_DIRECTORIES)
find_file(doctest_header doctest/doctest.h PATHS ${doctest_folder} NO_CACHE REQUIRED)
configure_file(${doctest_header} ${arm64}/include/doctest/doctest.h COPYONLY)

file(GLOB sources CONFIGURE_DEPENDS unit/heads/*.cpp unit/simd/*.cpp unit/distillation/divergence_values.cpp)
# The definitions of divergence_ranges.cpp are in long double: 128 bits there, in software, under emulation five minutes.
list(APPEND sources ${CMAKE_CURRENT_SOURCE_DIR}/backends/products.cpp ${CMAKE_CURRENT_SOURCE_DIR}/unit/evaluation/evaluate.cpp ${CMAKE_CURRENT_SOURCE_DIR}/unit/evaluation/statistics.cpp
  ${CMAKE_CURRENT_SOURCE_DIR}/unit/evaluation/unsupported_block.cpp ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp ${PROJECT_SOURCE_DIR}/include/emend/kernels.cpp)
set(objects)
foreach(source IN LISTS sources)
  file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${source})
  string(REPLACE "/" "_" name ${name})
  set(object ${arm64}/${name}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${EMEND_ARM64_COMPILER} -std=c++20 -O2 -Wall -Wextra -Wno-restrict -Werror -DEMEND_COMPILED_KERNELS -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS
      -I${PROJECT_SOURCE_DIR}/include -I${CMAKE_CURRENT_SOURCE_DIR} -isystem ${arm64}/include -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source} DEPFILE ${object}.d COMMENT "Compiling ${name} for 64-bit Arm" VERBATIM)
  list(APPEND objects ${object})
endforeach()
set(program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/arm64_kernel_tests)
add_custom_command(OUTPUT ${program} COMMAND ${EMEND_ARM64_COMPILER} -static -pthread ${objects} -o ${program}
  DEPENDS ${objects} COMMENT "Linking arm64_kernel_tests" VERBATIM)
add_custom_target(arm64_kernel_tests ALL DEPENDS ${program})
foreach(set portable neon)
  add_test(NAME arm64/${set} COMMAND ${EMEND_ARM64_EMULATOR} ${program})
  set_tests_properties(arm64/${set} PROPERTIES ENVIRONMENT EMEND_INSTRUCTION_SET=${set})
endforeach()
