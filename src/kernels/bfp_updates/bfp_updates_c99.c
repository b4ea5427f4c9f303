#include "kernels/bfp_updates/entries.h"

void ft_bfp_adamw_update_c99(const void* params, const ft_args* args) {
  const update u = begin(params, args, args->in[8]);
  const adamw a = adamw_of(&u, args);
  if (holds(args)) return;
  adamw_entries(&u, &a);
  make_room(&u, args);
}

void ft_bfp_sgd_update_c99(const void* params, const ft_args* args) {
  const update u = begin(params, args, args->in[7]);
  if (holds(args)) return;
  sgd_entries(&u, (uint16_t*)args->in[6]);
  make_room(&u, args);
}
