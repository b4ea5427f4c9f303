/* Device images: what an adapter or a training state is in flash.
 *
 * 128 bytes of header, then the payload, which generated code reads in place.
 * All numbers are little-endian; docs/decisions/016-device-image.md says why
 * the fields are these.
 *
 *   offset bytes
 *        0     4  magic "FTDI"
 *        4     4  CRC-32 of the header's other bytes (0..3 and 8..127)
 *        8    64  Ed25519 signature of bytes 72.. to the end of the payload;
 *                 zeros where there is none
 *       72     4  magic again: what is signed says what it is
 *       76     2  format version, 1
 *       78     1  kind: 1 adapter, 2 training state
 *       79     1  flags: 1 signed
 *       80     4  bytes of the payload
 *       84     4  version of an adapter; sequence number of a state
 *       88     4  CRC-32 of the payload
 *       92    16  base model: first half of the SHA-256 of its file
 *      108    16  program: first half of plan_hash()
 *      124     4  adapter: which one of the device's it is, from 0 on; state:
 *                 header CRC of the adapter that it goes on from
 *      128        payload
 */
#ifndef FT_IMAGE_H
#define FT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "ft_flash_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FT_IMAGE_HEADER_BYTES 128u
#define FT_IMAGE_SIGNATURE_BYTES 64u
#define FT_IMAGE_KEY_BYTES 32u
#define FT_IMAGE_HASH_BYTES 16u
#define FT_IMAGE_FORMAT 1u
#define FT_IMAGE_SIGNATURE_OFFSET 8u
#define FT_IMAGE_SIGNED_OFFSET 72u /* from here on bytes are signed */

enum { FT_IMAGE_ADAPTER = 1, FT_IMAGE_STATE = 2 }; /* kind */
enum { FT_IMAGE_SIGNED = 1 };                      /* flags */

typedef struct ft_image {
  uint8_t kind;
  uint8_t flags;
  uint32_t payload_bytes;
  uint32_t version;
  uint32_t payload_crc;
  uint32_t parent; /* of a state; of an adapter its number */
  uint8_t base_hash[FT_IMAGE_HASH_BYTES];
  uint8_t plan_hash[FT_IMAGE_HASH_BYTES];
  uint32_t header_crc; /* read only: encoding computes it */
} ft_image;

/* The header's bytes. `signature` may be null. Returns the header's CRC. */
uint32_t ft_image_encode(const ft_image *image, const uint8_t *signature,
                         uint8_t header[FT_IMAGE_HEADER_BYTES]);

/* Reads a header of any bytes. FT_FLASH_NOT_AN_IMAGE, FT_FLASH_BAD_HEADER_CRC
 * or FT_FLASH_BAD_FORMAT (a version, kind or flag that this code does not
 * know, a signature where the flag says none); `image` is then undefined. The
 * payload is not looked at. */
ft_flash_status ft_image_decode(const uint8_t header[FT_IMAGE_HEADER_BYTES],
                                ft_image *image);

#ifdef __cplusplus
}
#endif

#endif
