#include "kernels/adalora/adalora.h"
/* Before select.h. */
#include "kernels/real.h"
#include "kernels/select/select.h"

/* Renews an element's states, unless `hold`, and gives its score. */
static ft_real element_score(const ft_adalora_score_params* p, int hold,
                             ft_real w, ft_real dw, ft_real* sensitivity,
                             ft_real* uncertainty) {
  const ft_real change = FT_FABS(w * dw);
  if (!hold) {
    *sensitivity =
        (ft_real)p->beta1 * *sensitivity + (ft_real)p->one_minus_beta1 * change;
    *uncertainty = (ft_real)p->beta2 * *uncertainty +
                   (ft_real)p->one_minus_beta2 * FT_FABS(change - *sensitivity);
  }
  return *sensitivity * *uncertainty;
}

void FT_NAME(adalora_score)(const void* params, const ft_args* args) {
  const ft_adalora_score_params* p = (const ft_adalora_score_params*)params;
  const ft_real* a = (const ft_real*)args->in[0];
  const ft_real* da = (const ft_real*)args->in[1];
  const ft_real* b = (const ft_real*)args->in[2];
  const ft_real* db = (const ft_real*)args->in[3];
  const ft_real* e = (const ft_real*)args->in[4];
  const ft_real* de = (const ft_real*)args->in[5];
  ft_real* const* state = (ft_real* const*)(args->in + 6);
  const int hold = ((const float*)args->in[12])[3] != 0 ||
                   *(const ft_real*)args->in[13] + 1 >= (ft_real)p->last_step;
  ft_real* score = (ft_real*)args->out[0];
  int32_t l, i;
  for (l = 0; l < p->r; ++l) {
    ft_real row = 0, column = 0;
    for (i = l * p->n; i < (l + 1) * p->n; ++i)
      row += element_score(p, hold, a[i], da[i], &state[0][i], &state[1][i]);
    for (i = l; i < p->m * p->r; i += p->r)
      column += element_score(p, hold, b[i], db[i], &state[2][i], &state[3][i]);
    score[l] = element_score(p, hold, e[l], de[l], &state[4][l], &state[5][l]) +
               (row / (ft_real)p->n + column / (ft_real)p->m);
  }
}

/* x * x * x, rounded once in all but a few cases, as pow() does: a budget that
 * is whole must not end up one lower. x * x = square + rest exactly (Dekker).
 */
static double cube(double x) {
  const double scaled = 134217729.0 * x; /* 2^27 + 1 */
  const double high = scaled - (scaled - x), low = x - high;
  const double square = x * x;
  const double rest = ((high * high - square) + 2 * high * low) + low * low;
  const double s_scaled = 134217729.0 * square;
  const double s_high = s_scaled - (s_scaled - square), s_low = square - s_high;
  const double product = square * x;
  const double p_rest =
      ((s_high * high - product) + s_high * low + s_low * high) + s_low * low;
  return product + (p_rest + rest * x);
}

/* How many triplets have to go at update t. */
static int32_t surplus(const ft_adalora_allocate_params* p, int32_t t) {
  const int32_t end = p->total_step - p->tfinal;
  const double left = 1 - (double)(t - p->tinit) / (double)(end - p->tinit);
  const double budget = (double)(p->count - p->target) * cube(left) + p->target;
  return p->count - (int32_t)budget;
}

void FT_NAME(adalora_allocate)(const void* params, const ft_args* args) {
  const ft_adalora_allocate_params* p =
      (const ft_adalora_allocate_params*)params;
  const ft_real* score = (const ft_real*)args->in[0];
  ft_real* kept = (ft_real*)args->in[1];
  ft_real* steps = (ft_real*)args->in[2];
  ft_real* mask = (ft_real*)args->out[0];
  const int hold = ((const float*)args->in[3])[3] != 0;
  const int32_t end = p->total_step - p->tfinal;
  int32_t i, t, k = 0;
  if (!hold) *steps += 1;
  t = (int32_t)*steps;
  if (!hold && t > p->tinit && t <= end && (t == end || t % p->delta_t == 0))
    k = surplus(p, t);
  if (t == end) /* what stays from here on, if nothing has to go */
    for (i = 0; i < p->count && !hold; ++i) kept[i] = 1;
  if (k > 0) {
    /* The k-th smallest is the largest that goes; scores are magnitudes. */
    const ft_key threshold =
        ft_select_largest(score, p->count, p->count - k + 1, sizeof(ft_real),
                          ft_real_key, (int32_t*)args->scratch)
            .key;
    for (i = 0; i < p->count; ++i)
      kept[i] = ft_real_key(score, i) > threshold ? 1 : 0;
  }
  for (i = 0; i < p->count; ++i)
    mask[i] = k > 0 || (!hold && t > end) ? kept[i] : 1;
}

void FT_NAME(adalora_prune)(const void* params, const ft_args* args) {
  const ft_adalora_prune_params* p = (const ft_adalora_prune_params*)params;
  ft_real* e = (ft_real*)args->in[0];
  const ft_real* mask = (const ft_real*)args->in[1];
  int32_t i;
  for (i = 0; i < p->count; ++i)
    if (mask[i] == 0) e[i] = 0;
}
