/* The k largest of many numbers by magnitude, without sorting them: their keys
 * are unsigned, so the smallest key that is still among them is found digit by
 * digit, from the highest, by counting (radix selection; Knuth, "The Art of
 * Computer Programming", volume 3, 5.2.5). As many passes as a key has bytes,
 * whatever the values are, and FT_SELECT_BYTES of scratch.
 *
 * Included after kernels/real.h by a float kernel, or alone by an integer one.
 */
#ifndef FT_KERNELS_SELECT_SELECT_H_
#define FT_KERNELS_SELECT_SELECT_H_

#include <stdint.h>
#include <string.h>

#ifdef FT_REAL_IS_DOUBLE
typedef uint64_t ft_key;
#else
typedef uint32_t ft_key;
#endif

enum { FT_SELECT_DIGITS = 256, FT_SELECT_BYTES = FT_SELECT_DIGITS * 4 };

typedef struct {
  ft_key key;   /* larger keys are all among the k largest */
  int32_t ties; /* and of those that equal it, so many: at least one */
} ft_selection;

/* `key_at(values, i)`, of `key_bytes` bytes, for i < count; 1 <= k <= count. */
static inline ft_selection ft_select_largest(
    const void* values, int32_t count, int32_t k, int key_bytes,
    ft_key (*key_at)(const void*, int32_t), int32_t* histogram) {
  ft_selection s = {0, k};
  int shift;
  for (shift = 8 * (key_bytes - 1); shift >= 0; shift -= 8) {
    int32_t i, digit = FT_SELECT_DIGITS - 1;
    for (i = 0; i < FT_SELECT_DIGITS; ++i) histogram[i] = 0;
    for (i = 0; i < count; ++i) {
      const ft_key v = (key_at(values, i) ^ s.key) >> shift;
      /* Those whose higher digits are the ones found; added without a branch,
       * which nothing could predict. */
      histogram[v % FT_SELECT_DIGITS] += v < FT_SELECT_DIGITS;
    }
    while (histogram[digit] < s.ties) s.ties -= histogram[digit--];
    s.key |= (ft_key)digit << shift;
  }
  return s;
}

/* Of each key in turn: 1 if it is among the k largest, else 0. Of equal ones
 * the first are. */
static inline int32_t ft_is_selected(ft_key key, ft_selection* s) {
  const int32_t equal = key == s->key;
  const int32_t selected = (key > s->key) | (equal & (s->ties > 0));
  s->ties -= equal;
  return selected;
}

#ifdef FT_KERNELS_REAL_H_
/* Bits without the sign: magnitudes in order, NaN above infinity. */
static inline ft_key ft_real_key(const void* values, int32_t i) {
  ft_key bits;
  memcpy(&bits, (const ft_real*)values + i, sizeof(bits));
  return bits & ~((ft_key)1 << (8 * sizeof(bits) - 1));
}
#endif

#endif /* FT_KERNELS_SELECT_SELECT_H_ */
