/* The recurrent half of an LSTM over a whole sequence, from zero states, and
 * its gradient by backpropagation through time. The input half, x W + b for all
 * steps at once, is a fully connected layer in front.
 *
 *   a = gates_x[t] + R h[t-1]        gates in the order i, f, g, o
 *   c[t] = clip(sigmoid(f) c[t-1] + sigmoid(i) tanh(g))
 *   h[t] = sigmoid(o) tanh(c[t])
 *
 * Without an input gate (coupled input and forget gate) the rows of i are
 * absent and sigmoid(i) is 1 - sigmoid(f).
 *
 * With G gates (4, or 3 coupled) and rows [batch, time], or [time, batch] if
 * time_major:
 * in:  gates_x [rows, G hidden], r [G hidden, hidden], float
 * out: gates [rows, G hidden] after sigmoid and tanh; may be gates_x
 *      h [rows, hidden], c [rows, hidden]
 * Gradient:
 * in:  gates, c, r, dh (NULL: 0), dgates (NULL: 0), dc (NULL: 0): gradients of
 *      the three outputs
 * out: da [rows, G hidden] by gates_x; may be gates
 * scratch: see ft_lstm_grad_scratch()
 * Sources: Hochreiter and Schmidhuber 1997; Gers et al. 2000 (forget gate);
 * Greff et al. 2017 (coupled gates). */
#ifndef FT_KERNELS_LSTM_H_
#define FT_KERNELS_LSTM_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t batch, time, hidden;
  int32_t coupled; /* 1: no input gate */
  int32_t time_major;
  float cell_clip; /* 0: none */
} ft_lstm_params;

/* Row of sample b at step t. */
static inline int32_t ft_lstm_row(const ft_lstm_params* p, int32_t b,
                                  int32_t t) {
  return p->time_major ? t * p->batch + b : b * p->time + t;
}

static inline int32_t ft_lstm_width(const ft_lstm_params* p) {
  return (p->coupled ? 3 : 4) * p->hidden;
}

/* Elements of scratch of the gradient rows. */
static inline int32_t ft_lstm_grad_scratch(const ft_lstm_params* p) {
  return 2 * p->hidden;
}

void ft_lstm_f32_c99(const void* params, const ft_args* args);
void ft_lstm_f64_c99(const void* params, const ft_args* args);
void ft_lstm_grad_f32_c99(const void* params, const ft_args* args);
void ft_lstm_grad_f64_c99(const void* params, const ft_args* args);

/* The bits of the C99 rows. They read r with its axes swapped, [hidden, G
 * hidden]: from aux 0, or made in scratch of the size of r at every call. */
void ft_lstm_f32_hwy(const void* params, const ft_args* args);
void ft_lstm_f32_hwy_swapped(const void* params, const ft_args* args);
void ft_lstm_grad_f32_hwy(const void* params, const ft_args* args);
void ft_lstm_swap_axes(const ft_lstm_params* p, const float* r, float* swapped);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_LSTM_H_ */
