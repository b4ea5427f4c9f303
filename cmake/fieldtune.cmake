# Build rules shared by all folders. A folder's CMakeLists.txt only declares
# names, sources, dependencies and tests.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()

option(FT_WERROR "Treat warnings as errors" ON)
set(FT_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
if(PROJECT_IS_TOP_LEVEL)
  find_package(GTest REQUIRED)
endif()
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(SNDFILE REQUIRED IMPORTED_TARGET sndfile)
pkg_check_modules(SAMPLERATE REQUIRED IMPORTED_TARGET samplerate)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
# Debian's dnnl-config.cmake insists on OpenCL headers that a CPU build does not
# use, so the library is named directly.
find_library(DNNL_LIBRARY dnnl REQUIRED)

# Compiler flags of everything that is ours.
add_library(ft_flags INTERFACE)
target_include_directories(ft_flags INTERFACE ${PROJECT_SOURCE_DIR}/src
                                              ${PROJECT_SOURCE_DIR}/include)
target_compile_options(
  ft_flags
  INTERFACE -Wall -Wextra -Wpedantic -Wconversion
            # Bit-exactness: no fused multiply-add unless a kernel asks for it.
            -ffp-contract=off
            $<$<BOOL:${FT_WERROR}>:-Werror>
            $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>
            # False alarms of GCC 12 on std::string (GCC bug 105651).
            $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
            # The frames stay readable in the profiles of `make bench`.
            -fno-omit-frame-pointer)
if(FT_SANITIZE)
  target_compile_options(ft_flags INTERFACE -fsanitize=${FT_SANITIZE}
                                            -fno-sanitize-recover=all)
  target_link_options(ft_flags INTERFACE -fsanitize=${FT_SANITIZE})
  target_compile_definitions(ft_flags INTERFACE FT_SANITIZED)
endif()

# ft_library(NAME SOURCES a.cc ... DEPS ft_base PkgConfig::X ...)
# makes the static library NAME.
function(ft_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ft_flags)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src
                                            ${PROJECT_SOURCE_DIR}/include)
endfunction()

if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(cpp_tests)  # every C++ test, but not the command
endif()

# ft_tests(NAME SOURCES x_test.cc ... DEPS ...) makes one GoogleTest binary NAME
# and registers it with ctest under that name. Test paths to real inputs come
# from the environment (see tests/real_inputs.h). A project that embeds this one
# has tests of its own.
function(ft_tests name)
  if(NOT PROJECT_IS_TOP_LEVEL)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest
                                        GTest::gtest_main ft_flags)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name}
                             PRIVATE FT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(FT_SANITIZE)
    # Checks in gtest's macros take twice as long to optimize as to compile.
    target_compile_options(${name} PRIVATE -O0)
  endif()
  add_dependencies(cpp_tests ${name})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
