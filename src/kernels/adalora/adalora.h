/* Rank allocation of AdaLoRA (Zhang et al., "AdaLoRA: Adaptive Budget
 * Allocation for Parameter-Efficient Fine-Tuning", 2023, algorithm 1): of all
 * triplets (column of B, singular value, row of A) the least important lose
 * their singular value. Formulas as in HF PEFT.
 *
 * adalora_score: the importance of a module's triplets
 *   in:  A [r, n], its gradient; B [m, r], its gradient; E [r], its gradient;
 *        smoothed sensitivity and uncertainty of A, of B and of E, written;
 *        hyper [4]: hold (3) leaves the states as they are; steps [1], the
 *        updates done before this one, the states of which are final where
 *        this one is the last allocation's or later
 *   out: score [r]
 *   sensitivity = beta1 * sensitivity + (1 - beta1) * |w dw|,
 *   uncertainty = beta2 * uncertainty + (1 - beta2) * ||w dw| - sensitivity|;
 *   the score of a triplet is their product: of E's value, plus the means over
 *   A's row and over B's column.
 *
 * adalora_allocate: which triplets stay
 *   in:  scores [count] of all modules; kept [count] and steps [1], written;
 *        hyper
 *   out: mask [count]: 1 stays, 0 loses its value
 *   Update t = 1, 2, ...: up to tinit all stay; then, every delta_t updates and
 *   at total_step - tfinal, those above the k-th smallest score, where the
 *   number that stays falls with the cube of what is left of the way; from
 *   there on those that stayed.
 *   scratch: FT_SELECT_BYTES.
 *
 * adalora_prune: E = mask ? E : 0
 *   in:  E [r], written; mask [r] */
#ifndef FT_KERNELS_ADALORA_ADALORA_H_
#define FT_KERNELS_ADALORA_ADALORA_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t r, n, m;
  int32_t last_step; /* the update with the last allocation */
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
} ft_adalora_score_params;

typedef struct {
  int32_t count, target; /* triplets at the start and at the end */
  int32_t tinit, tfinal, total_step, delta_t;
} ft_adalora_allocate_params;

typedef struct {
  int32_t count;
} ft_adalora_prune_params;

void ft_adalora_score_f32_c99(const void* params, const ft_args* args);
void ft_adalora_score_f64_c99(const void* params, const ft_args* args);
void ft_adalora_allocate_f32_c99(const void* params, const ft_args* args);
void ft_adalora_allocate_f64_c99(const void* params, const ft_args* args);
void ft_adalora_prune_f32_c99(const void* params, const ft_args* args);
void ft_adalora_prune_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ADALORA_ADALORA_H_ */
