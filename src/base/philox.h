/* Counter-based random numbers: Philox4x32-10.
 *
 * value = f(seed, stream, counter), so resuming, threads and devices cannot
 * change a draw. C99 so that devices share it. Not for cryptography.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011; the constants are those of the paper. */
#ifndef FT_BASE_PHILOX_H_
#define FT_BASE_PHILOX_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint32_t word[4];
} ft_philox_block;

/* Four independent uniform 32-bit words. */
static inline ft_philox_block ft_philox(uint64_t seed, uint64_t stream,
                                        uint64_t counter) {
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  ft_philox_block out;
  int round;
  for (round = 0; round < 10; ++round) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out.word[0] = c0;
  out.word[1] = c1;
  out.word[2] = c2;
  out.word[3] = c3;
  return out;
}

#ifdef __cplusplus
}
#endif
#endif /* FT_BASE_PHILOX_H_ */
