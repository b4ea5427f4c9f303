// Which instruction sets the Highway rows are compiled for; include before
// hwy/highway.h. Each one costs compile time, so of the x86 ones only SSE4,
// AVX2 and AVX-512 are kept; SVE is left out because its vectors cannot be held
// in arrays.
#pragma once

#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

// Loops over arrays of vectors must be unrolled for them to be registers.
#if defined(__GNUC__) && !defined(__clang__)
#define FT_UNROLL _Pragma("GCC unroll 32")
#else
#define FT_UNROLL _Pragma("unroll")
#endif
