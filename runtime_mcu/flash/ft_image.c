#include "ft_image.h"

#include <string.h>

#include "ft_bytes.h"
#include "ft_crc32.h"

enum {
  kMagicAt = 0,
  kHeaderCrcAt = 4,
  kSignedMagicAt = 72,
  kFormatAt = 76,
  kKindAt = 78,
  kFlagsAt = 79,
  kPayloadBytesAt = 80,
  kVersionAt = 84,
  kPayloadCrcAt = 88,
  kBaseHashAt = 92,
  kPlanHashAt = 108,
  kParentAt = 124
};

static const uint8_t kMagic[4] = {'F', 'T', 'D', 'I'};

/* Of all bytes but its own four. */
static uint32_t header_crc(const uint8_t *header) {
  return ft_crc32(ft_crc32(0, header, kHeaderCrcAt),
                  header + FT_IMAGE_SIGNATURE_OFFSET,
                  FT_IMAGE_HEADER_BYTES - FT_IMAGE_SIGNATURE_OFFSET);
}

uint32_t ft_image_encode(const ft_image *image, const uint8_t *signature,
                         uint8_t header[FT_IMAGE_HEADER_BYTES]) {
  memset(header, 0, FT_IMAGE_HEADER_BYTES);
  memcpy(header + kMagicAt, kMagic, sizeof kMagic);
  memcpy(header + kSignedMagicAt, kMagic, sizeof kMagic);
  if (signature)
    memcpy(header + FT_IMAGE_SIGNATURE_OFFSET, signature,
           FT_IMAGE_SIGNATURE_BYTES);
  header[kFormatAt] = FT_IMAGE_FORMAT;
  header[kKindAt] = image->kind;
  header[kFlagsAt] = image->flags;
  ft_put_u32(header + kPayloadBytesAt, image->payload_bytes);
  ft_put_u32(header + kVersionAt, image->version);
  ft_put_u32(header + kPayloadCrcAt, image->payload_crc);
  memcpy(header + kBaseHashAt, image->base_hash, FT_IMAGE_HASH_BYTES);
  memcpy(header + kPlanHashAt, image->plan_hash, FT_IMAGE_HASH_BYTES);
  ft_put_u32(header + kParentAt, image->parent);
  const uint32_t crc = header_crc(header);
  ft_put_u32(header + kHeaderCrcAt, crc);
  return crc;
}

static int is_known(const ft_image *image, const uint8_t *header) {
  if (header[kFormatAt] != FT_IMAGE_FORMAT || header[kFormatAt + 1] != 0)
    return 0;
  if (image->kind != FT_IMAGE_ADAPTER && image->kind != FT_IMAGE_STATE)
    return 0;
  if ((image->flags & ~(unsigned)FT_IMAGE_SIGNED) != 0) return 0;
  if (image->flags & FT_IMAGE_SIGNED) return 1;
  for (unsigned i = 0; i < FT_IMAGE_SIGNATURE_BYTES; ++i)
    if (header[FT_IMAGE_SIGNATURE_OFFSET + i] != 0) return 0;
  return 1;
}

ft_flash_status ft_image_decode(const uint8_t header[FT_IMAGE_HEADER_BYTES],
                                ft_image *image) {
  if (memcmp(header + kMagicAt, kMagic, sizeof kMagic) != 0)
    return FT_FLASH_NOT_AN_IMAGE;
  image->header_crc = ft_get_u32(header + kHeaderCrcAt);
  if (image->header_crc != header_crc(header)) return FT_FLASH_BAD_HEADER_CRC;
  if (memcmp(header + kSignedMagicAt, kMagic, sizeof kMagic) != 0)
    return FT_FLASH_BAD_FORMAT;
  image->kind = header[kKindAt];
  image->flags = header[kFlagsAt];
  image->payload_bytes = ft_get_u32(header + kPayloadBytesAt);
  image->version = ft_get_u32(header + kVersionAt);
  image->payload_crc = ft_get_u32(header + kPayloadCrcAt);
  memcpy(image->base_hash, header + kBaseHashAt, FT_IMAGE_HASH_BYTES);
  memcpy(image->plan_hash, header + kPlanHashAt, FT_IMAGE_HASH_BYTES);
  image->parent = ft_get_u32(header + kParentAt);
  return is_known(image, header) ? FT_FLASH_OK : FT_FLASH_BAD_FORMAT;
}
