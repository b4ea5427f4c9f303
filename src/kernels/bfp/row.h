/* The loops of integer training are written once, X-inl.h, and compiled as the
 * C99 row and once more for x86-64 with AVX-512 VNNI (whose file defines
 * FT_BFP_AVX512) and for Armv7E-M (FT_BFP_ARMDSP, with the inner loops of
 * bfp/armdsp.h): integers leave a compiler no choice of result.
 */
#ifndef FT_KERNELS_BFP_ROW_H_
#define FT_KERNELS_BFP_ROW_H_

#ifdef FT_BFP_AVX512
#define FT_BFP_ROW(name) name##_avx512vnni
#elif defined(FT_BFP_ARMDSP)
#define FT_BFP_ROW(name) name##_armdsp
#else
#define FT_BFP_ROW(name) name##_c99
#endif

#endif /* FT_KERNELS_BFP_ROW_H_ */
