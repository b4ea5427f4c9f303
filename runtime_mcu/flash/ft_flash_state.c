/* Training states: a ring of slots, of which the intact one with the highest
 * sequence number counts. Payload first, header last: a state without a header
 * does not exist. */
#include <string.h>

#include "ft_crc32.h"
#include "ft_flash_internal.h"

static uint32_t state_offset(const ft_flash_config *config, uint32_t slot) {
  return ft_flash_slot_offset(config, 2) + slot * config->state_slot_bytes;
}

typedef struct newest_state {
  int32_t slot;      /* intact; -1: none */
  uint32_t sequence; /* of the newest header, intact or not; 0: none */
  uint32_t parent;
} newest_state;

static newest_state find_newest(const ft_flash_config *config) {
  const ft_image_expected expected = {FT_IMAGE_STATE, config->state_bytes,
                                      config->state_plan_hash};
  newest_state newest = {-1, 0, 0};
  uint32_t intact_sequence = 0;
  for (uint32_t slot = 0; slot < config->state_slots; ++slot) {
    ft_image image;
    const uint32_t offset = state_offset(config, slot);
    const uint8_t *header = ft_flash_at(config, offset);
    if (ft_image_decode(header, &image) != FT_FLASH_OK) continue;
    if (image.version > newest.sequence) newest.sequence = image.version;
    if (newest.slot >= 0 && image.version <= intact_sequence) continue;
    if (ft_flash_check_image(config, offset, &expected, &image) != FT_FLASH_OK)
      continue;
    newest.slot = (int32_t)slot;
    newest.parent = image.parent;
    intact_sequence = image.version;
  }
  return newest;
}

/* Programs the parts one after the other, units filled across their borders. */
static ft_flash_status program_parts(const ft_flash_config *config,
                                     uint32_t offset,
                                     const ft_flash_part *parts,
                                     uint32_t part_count) {
  uint8_t unit[FT_FLASH_MAX_UNIT];
  uint32_t filled = 0;
  for (uint32_t p = 0; p < part_count; ++p) {
    const uint8_t *bytes = (const uint8_t *)parts[p].bytes;
    for (uint32_t i = 0; i < parts[p].count; ++i) {
      unit[filled++] = bytes[i];
      if (filled < config->program_bytes) continue;
      const ft_flash_status status =
          ft_flash_program(config, offset, unit, filled);
      if (status != FT_FLASH_OK) return status;
      offset += filled;
      filled = 0;
    }
  }
  if (filled == 0) return FT_FLASH_OK;
  memset(unit + filled, 0xFF, config->program_bytes - filled);
  return ft_flash_program(config, offset, unit, config->program_bytes);
}

ft_flash_status ft_flash_save_state(ft_flash *store, const ft_flash_part *parts,
                                    uint32_t part_count) {
  const ft_flash_config *config = store->config;
  if (config->state_slots == 0) return FT_FLASH_BAD_LAYOUT;
  uint32_t count = 0, crc = 0;
  for (uint32_t p = 0; p < part_count; ++p) {
    if (parts[p].count > config->state_bytes - count)
      return FT_FLASH_WRONG_LENGTH;
    count += parts[p].count;
    crc = ft_crc32(crc, (const uint8_t *)parts[p].bytes, parts[p].count);
  }
  if (count != config->state_bytes) return FT_FLASH_WRONG_LENGTH;

  const newest_state newest = find_newest(config);
  const uint32_t slot = (uint32_t)(newest.slot + 1) % config->state_slots;
  const uint32_t offset = state_offset(config, slot);
  ft_image image = {.kind = FT_IMAGE_STATE,
                    .payload_bytes = count,
                    .version = newest.sequence + 1,
                    .payload_crc = crc,
                    .parent = store->running_crc};
  memcpy(image.base_hash, config->base_hash, FT_IMAGE_HASH_BYTES);
  memcpy(image.plan_hash, config->state_plan_hash, FT_IMAGE_HASH_BYTES);
  uint8_t header[FT_IMAGE_HEADER_BYTES];
  (void)ft_image_encode(&image, NULL, header);

  ft_flash_status status =
      ft_flash_erase(config, offset, FT_IMAGE_HEADER_BYTES + count);
  if (status == FT_FLASH_OK)
    status = program_parts(config, offset + FT_IMAGE_HEADER_BYTES, parts,
                           part_count);
  if (status == FT_FLASH_OK)
    status = ft_flash_program(config, offset, header, FT_IMAGE_HEADER_BYTES);
  return status;
}

ft_flash_status ft_flash_load_state(const ft_flash *store,
                                    const uint8_t **state) {
  const ft_flash_config *config = store->config;
  *state = NULL;
  const newest_state newest = find_newest(config);
  if (newest.slot < 0) return FT_FLASH_NO_STATE;
  if (newest.parent != store->running_crc) return FT_FLASH_STALE_STATE;
  *state = ft_flash_at(config, state_offset(config, (uint32_t)newest.slot) +
                                   FT_IMAGE_HEADER_BYTES);
  return FT_FLASH_OK;
}
