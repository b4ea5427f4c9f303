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

typedef struct {
  void* const* in;
  const void* const* aux;
  void* const* out;
  void* scratch;
} ft_args;

typedef void (*ft_kernel_fn)(const void* params, const ft_args* args);

/* Activation fused behind a linear op. */
enum { FT_ACT_NONE = 0, FT_ACT_RELU = 1, FT_ACT_RELU6 = 2, FT_ACT_RELU_N1 = 3 };

#define FT_RESTRICT __restrict

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_KERNEL_H_ */
