/* The loops of integer training are written once, X-inl.h, and compiled as the
 * C99 row and, for x86-64 with AVX-512 VNNI, once more: integers leave a
 * compiler no choice of result. The file of the latter defines FT_BFP_AVX512.
 */
#ifndef FT_KERNELS_BFP_ROW_H_
#define FT_KERNELS_BFP_ROW_H_

#ifdef FT_BFP_AVX512
#define FT_BFP_ROW(name) name##_avx512vnni
#else
#define FT_BFP_ROW(name) name##_c99
#endif

#endif /* FT_KERNELS_BFP_ROW_H_ */
