/* Where there is a unit for floats, VLDM and VSTM move eight of them at once;
 * the operations and their order are those of C99. */
#include "kernels/real.h"

#if defined(__ARM_FP) && __ARM_FP & 4
#define FT_SGD_PLAIN_ROWS

/* param -= lr (g x), `cols` values. */
static void plain_row(ft_real g, ft_real lr, const ft_real* x, int32_t cols,
                      ft_real* param) {
  const ft_real* const end8 = x + (cols & ~7);
  const ft_real* const end = x + cols;
  while (x != end8)
    __asm volatile(
        "vldmia %[x]!, {s0-s7}\n\t"
        "vldmia %[p], {s8-s15}\n\t"
        "vmul.f32 s0, s0, %[g]\n\t"
        "vmul.f32 s1, s1, %[g]\n\t"
        "vmul.f32 s2, s2, %[g]\n\t"
        "vmul.f32 s3, s3, %[g]\n\t"
        "vmul.f32 s4, s4, %[g]\n\t"
        "vmul.f32 s5, s5, %[g]\n\t"
        "vmul.f32 s6, s6, %[g]\n\t"
        "vmul.f32 s7, s7, %[g]\n\t"
        "vmul.f32 s0, s0, %[lr]\n\t"
        "vmul.f32 s1, s1, %[lr]\n\t"
        "vmul.f32 s2, s2, %[lr]\n\t"
        "vmul.f32 s3, s3, %[lr]\n\t"
        "vmul.f32 s4, s4, %[lr]\n\t"
        "vmul.f32 s5, s5, %[lr]\n\t"
        "vmul.f32 s6, s6, %[lr]\n\t"
        "vmul.f32 s7, s7, %[lr]\n\t"
        "vsub.f32 s8, s8, s0\n\t"
        "vsub.f32 s9, s9, s1\n\t"
        "vsub.f32 s10, s10, s2\n\t"
        "vsub.f32 s11, s11, s3\n\t"
        "vsub.f32 s12, s12, s4\n\t"
        "vsub.f32 s13, s13, s5\n\t"
        "vsub.f32 s14, s14, s6\n\t"
        "vsub.f32 s15, s15, s7\n\t"
        "vstmia %[p]!, {s8-s15}\n\t"
        : [x] "+r"(x), [p] "+r"(param)
        : [g] "t"(g), [lr] "t"(lr)
        : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10",
          "s11", "s12", "s13", "s14", "s15", "memory");
  for (; x != end; ++x, ++param) *param = *param - lr * (g * *x);
}

static int32_t plain_rows(const ft_real* dy, int32_t rows, const ft_real* x,
                          int32_t cols, ft_real lr, ft_real* param) {
  int32_t j;
  for (j = 0; j < rows; ++j) plain_row(dy[j], lr, x, cols, param + j * cols);
  return rows;
}
#endif

#define FT_FN ft_outer_sgd_update_f32_armdsp
#include "kernels/sgd_update/outer_sgd_update-inl.h"
