#include "kernels/attention/attention.h"
#include "kernels/real.h"

static ft_real dot_of(const ft_real* a, const ft_real* b, int32_t n) {
  ft_real sum = 0;
  int32_t i;
  for (i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

static int is_seen(const ft_attention_params* p, const int32_t* ids,
                   int32_t j) {
  return !ids || ids[j] != p->pad;
}

/* One query: y and, returned, log_sum. k and v are of its sample and head. */
static ft_real attend(const ft_attention_params* p, int32_t span,
                      const ft_real* q, const ft_real* k, const ft_real* v,
                      const int32_t* ids, ft_real* score, ft_real* y) {
  const int32_t d = p->head_dim, row = p->kv_heads * d;
  ft_real max = 0, sum = 0;
  int32_t j, c, any = 0;
  for (c = 0; c < d; ++c) y[c] = 0;
  for (j = 0; j < span; ++j) {
    if (!is_seen(p, ids, j)) continue;
    score[j] = (ft_real)p->scale * dot_of(q, k + (ptrdiff_t)j * row, d);
    if (!any || score[j] > max) max = score[j];
    any = 1;
  }
  if (!any) return 0;
  for (j = 0; j < span; ++j) {
    if (!is_seen(p, ids, j)) continue;
    score[j] = FT_EXP(score[j] - max);
    sum += score[j];
    for (c = 0; c < d; ++c) y[c] += score[j] * v[(ptrdiff_t)j * row + c];
  }
  for (c = 0; c < d; ++c) y[c] = y[c] / sum;
  return max + FT_LOG(sum);
}

void FT_NAME(attention)(const void* params, const ft_args* args) {
  const ft_attention_params* p = (const ft_attention_params*)params;
  const ft_real* q = (const ft_real*)args->in[0];
  const ft_real* k = (const ft_real*)args->in[1];
  const ft_real* v = (const ft_real*)args->in[2];
  const int32_t* ids = (const int32_t*)args->in[3];
  ft_real* y = (ft_real*)args->out[0];
  ft_real* log_sum = (ft_real*)args->out[1];
  const int32_t d = p->head_dim, group = p->heads / p->kv_heads;
  const ptrdiff_t sample = (ptrdiff_t)p->kv_len * p->kv_heads * d;
  int32_t b, i, h;
  for (b = 0; b < p->batch; ++b) {
    for (i = 0; i < p->q_len; ++i)
      for (h = 0; h < p->heads; ++h, q += d, y += d)
        log_sum[(ptrdiff_t)h * p->q_len + i] =
            attend(p, ft_attention_span(p, i), q, k + h / group * d,
                   v + h / group * d, ids, (ft_real*)args->scratch, y);
    k += sample;
    v += sample;
    log_sum += (ptrdiff_t)p->heads * p->q_len;
    if (ids) ids += p->kv_len;
  }
}

/* Pointers to one query, and to the first key and value of its head. */
typedef struct {
  const ft_real *dy, *q, *k, *v, *y;
  ft_real *dq, *dk, *dv;
} ft_attention_row;

/* ds_ij = p_ij (dy_i v_j - dy_i y_i + dlog_sum_i), then dq_i += scale ds_ij k_j
 * and dk_j += scale ds_ij q_i; dv_j += p_ij dy_i. */
static void attend_grad(const ft_attention_params* p, int32_t span,
                        const ft_attention_row* r, const int32_t* ids,
                        ft_real log_sum, ft_real dlog_sum) {
  const int32_t d = p->head_dim, row = p->kv_heads * d;
  const ft_real scale = (ft_real)p->scale;
  const ft_real mean = dot_of(r->dy, r->y, d) - dlog_sum;
  int32_t j, c;
  for (c = 0; c < d; ++c) r->dq[c] = 0;
  for (j = 0; j < span; ++j) {
    const ptrdiff_t at = (ptrdiff_t)j * row;
    ft_real prob, ds;
    if (!is_seen(p, ids, j)) continue;
    prob = FT_EXP(scale * dot_of(r->q, r->k + at, d) - log_sum);
    ds = scale * (prob * (dot_of(r->dy, r->v + at, d) - mean));
    for (c = 0; c < d; ++c) {
      r->dq[c] += ds * r->k[at + c];
      r->dk[at + c] += ds * r->q[c];
      r->dv[at + c] += prob * r->dy[c];
    }
  }
}

void FT_NAME(attention_grad)(const void* params, const ft_args* args) {
  const ft_attention_params* p = (const ft_attention_params*)params;
  const ft_real* log_sum = (const ft_real*)args->in[5];
  const int32_t* ids = (const int32_t*)args->in[6];
  const ft_real* dlog_sum = (const ft_real*)args->in[7];
  const int32_t d = p->head_dim, group = p->heads / p->kv_heads;
  const ptrdiff_t sample = (ptrdiff_t)p->kv_len * p->kv_heads * d;
  ptrdiff_t at = 0, key = 0, c;
  int32_t b, i, h;
  for (c = 0; c < p->batch * sample; ++c)
    ((ft_real*)args->out[1])[c] = ((ft_real*)args->out[2])[c] = 0;
  for (b = 0; b < p->batch; ++b, key += sample) {
    for (i = 0; i < p->q_len; ++i)
      for (h = 0; h < p->heads; ++h, at += d) {
        const ptrdiff_t head = key + h / group * d;
        const ptrdiff_t n = ((ptrdiff_t)b * p->heads + h) * p->q_len + i;
        ft_attention_row r;
        r.dy = (const ft_real*)args->in[0] + at;
        r.q = (const ft_real*)args->in[1] + at;
        r.k = (const ft_real*)args->in[2] + head;
        r.v = (const ft_real*)args->in[3] + head;
        r.y = (const ft_real*)args->in[4] + at;
        r.dq = (ft_real*)args->out[0] + at;
        r.dk = (ft_real*)args->out[1] + head;
        r.dv = (ft_real*)args->out[2] + head;
        attend_grad(p, ft_attention_span(p, i), &r, ids, log_sum[n],
                    dlog_sum ? dlog_sum[n] : 0);
      }
    if (ids) ids += p->kv_len;
  }
}
