/* The one C ABI of all kernels.
 *
 * A kernel is a loop over memory that somebody else planned: it never
 * allocates, fails, or keeps state. `params` points to the op's own
 * ft_<op>_params struct (4-byte int32_t and float members only, so that code
 * generation can print it). Buffers come in the op's declared order:
 *   in[i]    inputs of the node, NULL where an optional one is absent
 *   aux[i]   constants derived when compiling (multipliers, packed weights)
 *   out[i]   outputs; out[0] may equal in[j] where the op says so. A value that
 *            an op updates in place is passed in in[] and written through.
 *   scratch  bytes that live during this call only
 * Buffers are aligned to 16 bytes at least; constants that are views into a
 * model file may be aligned to their element only. */
#ifndef FT_KERNELS_KERNEL_H_
#define FT_KERNELS_KERNEL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A part of a call, so that other work may come in between: units `first` to
 * `end` of those that the op counts (OpDef::divide), in round `round` over all
 * of them. Parts are done in order, all of a round before the next round, and
 * leave what the whole call leaves; what they pass on lies in the outputs. */
typedef struct {
  int32_t first, end;
  int32_t round;
  int32_t is_last; /* it ends the last round */
} ft_part;

typedef struct {
  void* const* in;
  const void* const* aux;
  void* const* out;
  void* scratch;
  const ft_part* part; /* NULL: the whole call */
} ft_args;

typedef void (*ft_kernel_fn)(const void* params, const ft_args* args);

/* Activation fused behind a linear op. */
enum { FT_ACT_NONE = 0, FT_ACT_RELU = 1, FT_ACT_RELU6 = 2, FT_ACT_RELU_N1 = 3 };

#define FT_RESTRICT __restrict

/* The part that is asked for; `units`: of the whole call. */
static inline ft_part ft_part_of(const ft_args* args, int32_t units) {
  ft_part part;
  if (args->part) return *args->part;
  part.first = part.round = 0;
  part.end = units;
  part.is_last = 1;
  return part;
}

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_KERNEL_H_ */
