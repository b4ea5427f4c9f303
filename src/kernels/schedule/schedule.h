/* What an optimizer's update is told that changes from step to step: learning
 * rate and bias corrections, in integer arithmetic, so that every machine has
 * the same bits, with or without floating point.
 *
 * step counts runs from 0; `accumulate` runs make one update, and update t = 1,
 * 2, ... is told lr * factor(t), 1 / (1 - beta1^t) and 1 / (1 - beta2^t). The
 * error of each is below 2^-28 of it.
 *
 * factor: rises linearly over `warmup` updates, then stays, or falls to 0 at
 * `total_updates` along a line or half a cosine. */
#ifndef FT_KERNELS_SCHEDULE_H_
#define FT_KERNELS_SCHEDULE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FT_SCHEDULE_CONSTANT = 0,
  FT_SCHEDULE_LINEAR = 1,
  FT_SCHEDULE_COSINE = 2
};

typedef struct {
  int32_t lr_mantissa, lr_exponent; /* lr = mantissa * 2^exponent */
  int32_t kind;                     /* FT_SCHEDULE_CONSTANT, ... */
  uint64_t beta1, beta2;            /* in units of 2^-63 */
  int64_t warmup, total_updates, accumulate;
} ft_schedule;

/* {lr, 1 / (1 - beta1^t), 1 / (1 - beta2^t), hold}; hold is 1 for the runs that
 * only accumulate. */
void ft_schedule_f32(const ft_schedule* s, int64_t step, float hyper[4]);

/* Pairs of mantissa and exponent of the first three, then seed, step, hold and
 * a zero: the hyper of bfp_updates.h. */
void ft_schedule_s32(const ft_schedule* s, int64_t step, uint64_t seed,
                     int32_t hyper[12]);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_SCHEDULE_H_ */
