/* CRC-32 as zlib, Ethernet and PNG compute it (polynomial 0xEDB88320,
 * reflected, initial value and final complement all ones). Finds bit rot and
 * torn writes; against forgery there are signatures. */
#ifndef FT_CRC32_H
#define FT_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Goes on from `crc`, which is 0 for the first bytes. */
uint32_t ft_crc32(uint32_t crc, const uint8_t *bytes, size_t count);

#ifdef __cplusplus
}
#endif

#endif
