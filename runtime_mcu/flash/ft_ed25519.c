#include "ft_ed25519.h"

#include "monocypher-ed25519.h"

int ft_ed25519_verify(const uint8_t signature[64], const uint8_t key[32],
                      const uint8_t *message, size_t bytes) {
  return crypto_ed25519_check(signature, key, message, bytes) == 0;
}
