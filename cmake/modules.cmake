# SPDX-License-Identifier: Apache-2.0
# A module is one folder, one static library, and the list of modules that it may include: its arrows.
# scripts/check_arrows.py reads the same calls and fails the build when an #include goes against them.
#
# Reading headers is two thirds of compiling a file: several are compiled at a time, so that a build from nothing
# takes less. What two files of a module call alike is therefore one thing in a header, or has two names.
option(EVERCERT_UNITY "Compile several files at a time (OFF: each by itself, which finds a missing #include)" ON)

# Of GCC, for what stands in anonymous namespaces of files that are compiled together.
set(EVERCERT_UNITY_WARNINGS $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)

function(evercert_module name)
  cmake_parse_arguments(M "" "" "DEPS;LIBS;SOURCES" ${ARGN})
  string(REPLACE "/" "_" target "ec_${name}")
  set(sources ${M_SOURCES})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${EVERCERT_UNITY} UNITY_BUILD_BATCH_SIZE 4)
  target_compile_options(${target} PRIVATE ${EVERCERT_WARNINGS} ${EVERCERT_UNITY_WARNINGS})
  foreach(dep ${M_DEPS})
    string(REPLACE "/" "_" dep_target "ec_${dep}")
    target_link_libraries(${target} PUBLIC ${dep_target})
  endforeach()
  target_link_libraries(${target} PUBLIC ${M_LIBS})
  add_dependencies(${target} check_arrows)
endfunction()

# What costs more to compile than it does (tests, command lines: headers of GoogleTest, CLI11, JSON) is compiled several
# files at a time and hardly optimised; what it calls is compiled as ever.
function(evercert_compile_fast target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${EVERCERT_UNITY} UNITY_BUILD_BATCH_SIZE 6)
  target_compile_options(${target} PRIVATE ${EVERCERT_WARNINGS} ${EVERCERT_UNITY_WARNINGS}
                         $<$<CONFIG:RelWithDebInfo>:-O1;-g0>)
endfunction()

# A test program of one module: its x_test.cc files, with GoogleTest. SHARDS: it is run in so many parts side by side.
# APART: each file by itself, since they give the same names to different things.
function(evercert_test name)
  cmake_parse_arguments(T "APART" "TIMEOUT;SHARDS" "DEPS;LIBS;SOURCES" ${ARGN})
  string(REPLACE "/" "_" target "test_${name}")
  add_executable(${target} ${T_SOURCES})
  evercert_compile_fast(${target})
  if(T_APART)
    set_target_properties(${target} PROPERTIES UNITY_BUILD OFF)
  endif()
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  foreach(dep ${T_DEPS})
    string(REPLACE "/" "_" dep_target "ec_${dep}")
    target_link_libraries(${target} PRIVATE ${dep_target})
  endforeach()
  target_link_libraries(${target} PRIVATE ${T_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT T_SHARDS)
    set(T_SHARDS 1)
  endif()
  foreach(shard RANGE 1 ${T_SHARDS})
    set(test ${name})
    if(T_SHARDS GREATER 1)
      set(test ${name}/part-${shard})
    endif()
    math(EXPR index "${shard} - 1")
    add_test(NAME ${test} COMMAND ${target})
    set_tests_properties(${test} PROPERTIES ENVIRONMENT "GTEST_TOTAL_SHARDS=${T_SHARDS};GTEST_SHARD_INDEX=${index}")
    if(T_TIMEOUT)
      set_tests_properties(${test} PROPERTIES TIMEOUT ${T_TIMEOUT})
    endif()
  endforeach()
endfunction()
