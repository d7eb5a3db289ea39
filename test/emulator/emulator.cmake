# The CUDA engine, compiled by the host's compiler for the emulator. A build of this kind is for tests: its engine is
# called cuda-emulated.
file(GLOB EMULATOR CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cc)

# How a .cu file is compiled here; native/cuda/cuda.cmake has nvcc do it.
function(compile_as_cuda)
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
endfunction()

add_library(ffjord_cuda STATIC ${CUDA} ${EMULATOR})
compile_as_cuda(${CUDA})
target_include_directories(ffjord_cuda PUBLIC native ${CMAKE_CURRENT_LIST_DIR}/include)
target_compile_definitions(ffjord_cuda PUBLIC FFJORD_EMULATED INTERFACE FFJORD_CUDA)

target_compile_options(ffjord_cuda PRIVATE -O2)   # also where the rest of a build is less optimized
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-march=native HAS_NATIVE)
if(HAS_NATIVE)
  target_compile_options(ffjord_cuda PRIVATE -march=native)   # runs where it is compiled
endif()
