/* What bfp_updates.h does to entries whose gradients lie in a row. */
#ifndef FT_KERNELS_BFP_UPDATES_ENTRIES_H_
#define FT_KERNELS_BFP_UPDATES_ENTRIES_H_

#include "base/philox.h"
#include "kernels/bfp/soft_float.h"
#include "kernels/bfp_updates/bfp_updates.h"

typedef struct {
  const ft_bfp_update_params* p;
  int16_t *param, *residual;
  int32_t* param_exp;
  const int16_t* grad;
  const int32_t* positions; /* of grad's values; NULL: all */
  int32_t grad_exp;
  int32_t begin, end; /* of the values that are taken */
  int32_t first;      /* the first value's entry, without positions */
  ft_soft lr, grad_factor, weight_decay;
  const int32_t *grad_unit, *unit, *inverse_unit; /* NULL: 1 */
  uint64_t seed, stream, counter;
} update;

static inline ft_soft number(const int32_t* pair) {
  return ft_soft_of(pair[0], ft_clamp_exponent(pair[1]));
}

static inline uint64_t wide(int32_t low, int32_t high) {
  return (uint64_t)(uint32_t)low | (uint64_t)(uint32_t)high << 32;
}

static inline int holds(const ft_args* args) {
  return ((const int32_t*)args->in[4])[10] != 0;
}

static inline update begin(const void* params, const ft_args* args,
                           const void* positions) {
  const ft_bfp_update_params* p = (const ft_bfp_update_params*)params;
  const int32_t* hyper = (const int32_t*)args->in[4];
  update u;
  u.p = p;
  u.param = (int16_t*)args->in[0];
  u.param_exp = (int32_t*)args->in[1];
  u.grad = (const int16_t*)args->in[2];
  u.grad_exp = ft_clamp_exponent(*(const int32_t*)args->in[3]);
  u.first = 0;
  u.residual = (int16_t*)args->in[5];
  u.positions = (const int32_t*)positions;
  u.begin = ft_part_of(args, positions ? p->kept : p->count).first;
  u.end = ft_part_of(args, positions ? p->kept : p->count).end;
  u.lr = number(hyper);
  u.grad_factor = number(p->grad_factor);
  u.weight_decay = number(p->weight_decay);
  u.stream = wide(p->stream_low, p->stream_high);
  u.seed = wide(hyper[6], hyper[7]);
  u.grad_unit = p->has_units ? (const int32_t*)args->aux[0] : NULL;
  u.unit = p->has_units ? (const int32_t*)args->aux[1] : NULL;
  u.inverse_unit = p->has_units ? (const int32_t*)args->aux[2] : NULL;
  u.counter = (uint64_t)(uint32_t)hyper[8] << 32;
  u.stream ^= (uint64_t)(uint32_t)hyper[9] << 32;
  return u;
}

/* v times what stands at element i of `units`. */
static inline ft_soft times(ft_soft v, const int32_t* units, int32_t i) {
  return units ? ft_soft_mul(v, number(units + 2 * i)) : v;
}

static inline ft_soft gradient_at(const update* u, int32_t i) {
  const ft_soft g =
      ft_soft_mul(ft_soft_of_s32(u->grad[i], u->grad_exp), u->grad_factor);
  return times(g, u->grad_unit, i);
}

/* The entry that value i of the gradient belongs to; below 0: to none. */
static inline int32_t entry_of(const update* u, int32_t i) {
  if (!u->positions) return u->first + i;
  return u->positions[i] < u->p->count ? u->positions[i] : -1;
}

static inline int32_t whole(const update* u, int32_t i) {
  return u->param[i] * 65536 + u->residual[i];
}

static inline void store(const update* u, int32_t i, int64_t v) {
  const int32_t limit = 32767 * 65536 + 32767;
  const int32_t kept = v > limit ? limit : (v < -limit ? -limit : (int32_t)v);
  const int32_t top = (kept + 32768) >> 16;
  u->param[i] = (int16_t)top;
  u->residual[i] = (int16_t)(kept - top * 65536);
}

static inline ft_soft value_at(const update* u, int32_t i) {
  return times(ft_soft_of(whole(u, i), ft_clamp_exponent(*u->param_exp) - 16),
               u->unit, i);
}

/* The integer below or above step * 2^shift, in the right proportion; `random`
 * has two words, the upper one first. */
static inline int64_t round_stochastic(ft_soft step, int32_t shift,
                                       const uint32_t* random) {
  const int32_t drop = -(step.e + shift);
  const uint32_t m = (uint32_t)(step.m < 0 ? -step.m : step.m);
  uint64_t u = 0;
  if (m == 0) return 0; /* whose exponent says nothing */
  if (drop > 0 && drop < 32) {
    u = (m >> drop) + (random[0] < m << (32 - drop));
  } else if (drop >= 32 && drop < 64) {
    const uint64_t both = (uint64_t)random[0] << 32 | random[1];
    u = both < (uint64_t)m << (64 - drop);
  } else if (drop <= 0) {
    u = drop < -32 ? (uint64_t)1 << 62 : (uint64_t)m << -drop;
  }
  return step.m < 0 ? -(int64_t)u : (int64_t)u;
}

static inline void apply(const update* u, int32_t i, ft_soft step,
                         const ft_philox_block* r) {
  const int32_t unit = 16 - ft_clamp_exponent(*u->param_exp);
  step = times(step, u->inverse_unit, i);
  store(u, i, whole(u, i) - round_stochastic(step, unit, r->word + 2));
}

/* The last part of a call does it. */
static inline void make_room(const update* u, const ft_args* args) {
  const int32_t full = 24576;
  int32_t i, largest = 0;
  if (args->part && !args->part->is_last) return;
  for (i = 0; i < u->p->count; ++i) {
    const int32_t v = u->param[i] < 0 ? -u->param[i] : u->param[i];
    if (v > largest) largest = v;
  }
  if (largest < full) return;
  for (i = 0; i < u->p->count; ++i) store(u, i, ft_shift_round(whole(u, i), 1));
  *u->param_exp = ft_clamp_exponent((int64_t)*u->param_exp + 1);
}

typedef struct {
  uint16_t *ms, *vs;
  ft_soft b1, b2, eps, c2, lr_c1, decay;
} adamw;

static inline adamw adamw_of(const update* u, const ft_args* args) {
  const int32_t* hyper = (const int32_t*)args->in[4];
  adamw a;
  a.ms = (uint16_t*)args->in[6];
  a.vs = (uint16_t*)args->in[7];
  a.b1 = number(u->p->one_minus_beta1);
  a.b2 = number(u->p->one_minus_beta2);
  a.eps = number(u->p->eps);
  a.c2 = number(hyper + 4);
  a.lr_c1 = ft_soft_mul(u->lr, number(hyper + 2));
  a.decay = ft_soft_mul(u->lr, u->weight_decay);
  return a;
}

static void adamw_entries(const update* u, const adamw* a) {
  int32_t k;
  for (k = u->begin; k < u->end; ++k) {
    const int32_t i = entry_of(u, k);
    ft_philox_block r;
    ft_soft g, m, v, root, step = ft_soft_of_s32(0, 0);
    if (i < 0) continue;
    r = ft_philox(u->seed, u->stream, u->counter + (uint32_t)i);
    g = gradient_at(u, k);
    m = ft_soft_unpack_signed(a->ms[i]);
    v = ft_soft_unpack_unsigned(a->vs[i]);
    m = ft_soft_add(m, ft_soft_mul(a->b1, ft_soft_add(g, ft_soft_neg(m))));
    v = ft_soft_add(
        v, ft_soft_mul(a->b2, ft_soft_add(ft_soft_mul(g, g), ft_soft_neg(v))));
    if (v.m < 0) v.m = 0;
    a->ms[i] = ft_soft_pack_signed(m, r.word[0]);
    a->vs[i] = ft_soft_pack_unsigned(v, r.word[1]);
    root = ft_soft_add(ft_soft_sqrt(ft_soft_mul(v, a->c2)), a->eps);
    if (root.m > 0) step = ft_soft_div(ft_soft_mul(a->lr_c1, m), root);
    if (a->decay.m != 0)
      step = ft_soft_add(step, ft_soft_mul(a->decay, value_at(u, i)));
    apply(u, i, step, &r);
  }
}

static void sgd_entries(const update* u, uint16_t* buffers) {
  const ft_soft momentum = number(u->p->momentum);
  int32_t k;
  for (k = u->begin; k < u->end; ++k) {
    const int32_t i = entry_of(u, k);
    ft_philox_block r;
    ft_soft g;
    if (i < 0) continue;
    r = ft_philox(u->seed, u->stream, u->counter + (uint32_t)i);
    g = gradient_at(u, k);
    if (u->weight_decay.m != 0)
      g = ft_soft_add(g, ft_soft_mul(u->weight_decay, value_at(u, i)));
    if (buffers) {
      const ft_soft b = ft_soft_add(
          ft_soft_mul(momentum, ft_soft_unpack_signed(buffers[i])), g);
      buffers[i] = ft_soft_pack_signed(b, r.word[0]);
      g = u->p->nesterov ? ft_soft_add(g, ft_soft_mul(momentum, b)) : b;
    }
    apply(u, i, ft_soft_mul(u->lr, g), &r);
  }
}

#endif /* FT_KERNELS_BFP_UPDATES_ENTRIES_H_ */
