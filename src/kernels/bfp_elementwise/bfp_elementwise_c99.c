#include "kernels/bfp/addition.h"
#include "kernels/bfp/bfp.h"
#include "kernels/bfp_elementwise/bfp_elementwise.h"

void ft_bfp_dequantize_c99(const void* params, const ft_args* args) {
  const ft_bfp_dequantize_params* p = (const ft_bfp_dequantize_params*)params;
  const int8_t* q = (const int8_t*)args->in[0];
  const int32_t* zero_point = (const int32_t*)args->aux[0];
  const int32_t* share = (const int32_t*)args->aux[1];
  int16_t* y = (int16_t*)args->out[0];
  int32_t o, c, i;
  for (o = 0; o < p->outer; ++o) {
    for (c = 0; c < p->channels; ++c) {
      /* 9 bits times 14: y has 15. */
      for (i = 0; i < p->inner; ++i)
        *y++ = ft_saturate_s16(
            ft_shift_round((int64_t)(*q++ - zero_point[c]) * share[c], 8));
    }
  }
  *(int32_t*)args->out[1] = p->exponent;
}

/* Round 0 of a call in parts finds the bits of both operands, which wait in the
 * place of the exponent: a's, and above them b's. */
enum { BITS = 8 };

static int32_t more_bits(const int16_t* v, const ft_part* part, int32_t bits) {
  const int32_t found =
      ft_bfp_bits_of(v + part->first, part->end - part->first);
  return found > bits ? found : bits;
}

void ft_bfp_add_c99(const void* params, const ft_args* args) {
  const ft_bfp_add_params* p = (const ft_bfp_add_params*)params;
  const int16_t* a = (const int16_t*)args->in[0];
  const int16_t* b = (const int16_t*)args->in[2];
  const ft_part part = ft_part_of(args, p->count);
  int16_t* y = (int16_t*)args->out[0];
  int32_t* y_exp = (int32_t*)args->out[1];
  int32_t unit;
  ft_bfp_extent of_a, of_b;
  ft_bfp_addition s;
  of_a.exponent = *(const int32_t*)args->in[1];
  of_b.exponent = *(const int32_t*)args->in[3];
  of_a.bits = of_b.bits = 0;
  if (part.round > 0 || part.first > 0) {
    of_a.bits = *y_exp & ((1 << BITS) - 1);
    of_b.bits = *y_exp >> BITS;
  }
  if (part.round == 0) {
    of_a.bits = more_bits(a, &part, of_a.bits);
    of_b.bits = more_bits(b, &part, of_b.bits);
  }
  if (args->part && part.round == 0) {
    *y_exp = of_b.bits * (1 << BITS) + of_a.bits;
    return;
  }
  unit = ft_bfp_addition_of(of_a, of_b, p->multiplier, p->shift, &s);
  ft_bfp_add_run(&s, a + part.first, b + part.first, part.end - part.first,
                 y + part.first);
  if (part.is_last) *y_exp = unit;
}

/* Without branches: where a ReLU cuts is as good as random. */
void ft_bfp_activation_grad_c99(const void* params, const ft_args* args) {
  const ft_bfp_activation_grad_params* p =
      (const ft_bfp_activation_grad_params*)params;
  const int16_t* dy = (const int16_t*)args->in[0];
  const int8_t* y = (const int8_t*)args->in[1];
  const int16_t* real = (const int16_t*)args->in[1];
  int16_t* dx = (int16_t*)args->out[0];
  const int32_t low = p->q_low, high = p->q_high;
  const ft_part part = ft_part_of(args, p->count);
  int32_t i;
  if (p->y_is_s8) {
    for (i = part.first; i < part.end; ++i)
      dx[i] = (int16_t)(dy[i] & -((y[i] > low) & (y[i] < high)));
  } else {
    for (i = part.first; i < part.end; ++i)
      dx[i] = (int16_t)(dy[i] & -((real[i] > low) & (real[i] < high)));
  }
}

/* Where element `index` of the smaller tensor begins in the larger, and how far
 * its elements lie apart along each axis. */
typedef struct {
  const ft_bfp_axes_params* p;
  const int16_t* x;
  int32_t stride[FT_BFP_MAX_RANK];
} axes;

static void set_strides(const ft_bfp_axes_params* p, axes* a) {
  int32_t d, stride = 1;
  a->p = p;
  for (d = p->rank - 1; d >= 0; --d) {
    a->stride[d] = stride;
    stride *= p->dim[d];
  }
}

/* Splits `index` over the axes whose bit in `mask` is set or, with `wanted` 0,
 * clear: the offset that it stands for. */
static int32_t offset_of(const axes* a, int32_t index, int32_t wanted) {
  int32_t d, offset = 0;
  for (d = a->p->rank - 1; d >= 0; --d) {
    if ((a->p->mask >> d & 1) != wanted) continue;
    offset += index % a->p->dim[d] * a->stride[d];
    index /= a->p->dim[d];
  }
  return offset;
}

static int32_t count_of(const axes* a, int32_t wanted) {
  int32_t d, count = 1;
  for (d = 0; d < a->p->rank; ++d)
    if ((a->p->mask >> d & 1) == wanted) count *= a->p->dim[d];
  return count;
}

static void sum_at(const void* ctx, int32_t index, int64_t* acc) {
  const axes* a = (const axes*)ctx;
  const int16_t* x = a->x + offset_of(a, index, 0);
  const int32_t count = count_of(a, 1);
  int32_t i;
  acc[0] = 0;
  for (i = 0; i < count; ++i) acc[0] += x[offset_of(a, i, 1)];
}

void ft_bfp_reduce_c99(const void* params, const ft_args* args) {
  int64_t acc;
  axes a;
  set_strides((const ft_bfp_axes_params*)params, &a);
  a.x = (const int16_t*)args->in[0];
  ft_bfp_rows(sum_at, &a, count_of(&a, 0), 1, &acc, (int32_t*)args->in[2],
              *(const int32_t*)args->in[1], args);
}

void ft_bfp_broadcast_to_c99(const void* params, const ft_args* args) {
  const int16_t* x = (const int16_t*)args->in[0];
  int16_t* y = (int16_t*)args->out[0];
  int32_t i, j, kept, repeated;
  axes a;
  set_strides((const ft_bfp_axes_params*)params, &a);
  kept = count_of(&a, 0);
  repeated = count_of(&a, 1);
  for (i = 0; i < kept; ++i) {
    int16_t* to = y + offset_of(&a, i, 0);
    for (j = 0; j < repeated; ++j) to[offset_of(&a, j, 1)] = x[i];
  }
}
