# libFuzzer targets: one per parser of files that come from outside.
#
#   ft_fuzzer(NAME SOURCES x_fuzz.cc DEPS ft_x [SEEDS glob...])
#
# declares one. It is built only by the preset `fuzz` (Clang, option FT_FUZZ),
# where all of our code is instrumented; elsewhere the call does nothing. A run
# lasts FT_FUZZ_SECONDS of processor time and is a ctest named as the fuzzer
# (tools/fuzz_for.py, which also holds what every input is held to). SEEDS are
# files that exist on some machines only (../shared); a fuzzer may write others
# itself (base/fuzz_seeds.h); with none, libFuzzer starts from nothing. What a
# run finds stays in build/fuzz/corpus/NAME for the next one.
option(FT_FUZZ "Build the fuzzers (needs Clang)" OFF)
set(FT_FUZZ_SECONDS 60 CACHE STRING "CPU seconds of each fuzzer in `ctest`")

if(FT_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "FT_FUZZ needs Clang; use `cmake --preset fuzz`")
  endif()
  target_compile_options(ft_flags INTERFACE -fsanitize=fuzzer-no-link)
  add_custom_target(fuzzers)
endif()

function(ft_fuzzer name)
  if(NOT FT_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;SEEDS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} ft_flags)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name})

  set(corpus ${PROJECT_BINARY_DIR}/corpus/${name})
  file(MAKE_DIRECTORY ${corpus})
  file(GLOB seeds ${ARG_SEEDS})
  foreach(seed ${seeds})
    file(COPY ${seed} DESTINATION ${corpus})
  endforeach()
  add_test(NAME ${name}
           COMMAND ${PROJECT_SOURCE_DIR}/tools/fuzz_for.py
                   --figures ${PROJECT_BINARY_DIR}/figures
                   ${FT_FUZZ_SECONDS} $<TARGET_FILE:${name}> ${corpus})
  set_tests_properties(${name} PROPERTIES LABELS fuzz)
endfunction()
