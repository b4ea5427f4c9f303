/* Ed25519 (RFC 8032) by Monocypher 3.1.2, whose monocypher.c and
 * optional/monocypher-ed25519.c are compiled beside this file
 * (tools/fetch_monocypher.sh). Refuses signatures whose S is not reduced.
 * About 16 KB of code on Armv7E-M; 2 KB of stack. */
#ifndef FT_ED25519_H
#define FT_ED25519_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A ft_flash_verify: 1 if `signature` of `message` is by `key`'s owner. */
int ft_ed25519_verify(const uint8_t signature[64], const uint8_t key[32],
                      const uint8_t *message, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
