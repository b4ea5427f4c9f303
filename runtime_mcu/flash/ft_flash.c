#include "ft_flash.h"

#include <string.h>

#include "ft_crc32.h"
#include "ft_flash_internal.h"

const uint8_t *ft_flash_at(const ft_flash_config *config, uint32_t offset) {
  return config->driver.map(config->driver.context, config->offset + offset);
}

uint32_t ft_flash_region_bytes(const ft_flash_config *config) {
  return 2 * config->page_bytes + 2 * config->slot_bytes +
         config->state_slots * config->state_slot_bytes;
}

uint32_t ft_flash_slot_offset(const ft_flash_config *config, int slot) {
  return 2 * config->page_bytes + (uint32_t)slot * config->slot_bytes;
}

ft_flash_status ft_flash_erase(const ft_flash_config *config, uint32_t offset,
                               uint32_t count) {
  for (uint32_t done = 0; done < count; done += config->page_bytes)
    if (config->driver.erase_page(config->driver.context,
                                  config->offset + offset + done) != 0)
      return FT_FLASH_WRITE_FAILED;
  return FT_FLASH_OK;
}

ft_flash_status ft_flash_program(const ft_flash_config *config, uint32_t offset,
                                 const uint8_t *bytes, uint32_t count) {
  if (config->driver.program(config->driver.context, config->offset + offset,
                             bytes, count) != 0)
    return FT_FLASH_WRITE_FAILED;
  return memcmp(ft_flash_at(config, offset), bytes, count) == 0
             ? FT_FLASH_OK
             : FT_FLASH_WRITE_FAILED;
}

static int is_power_of_two(uint32_t x) { return x != 0 && (x & (x - 1)) == 0; }

/* A slot of whole pages with room for an image. */
static int holds(const ft_flash_config *config, uint32_t slot_bytes,
                 uint32_t payload_bytes) {
  return slot_bytes % config->page_bytes == 0 &&
         slot_bytes >= FT_IMAGE_HEADER_BYTES &&
         slot_bytes - FT_IMAGE_HEADER_BYTES >= payload_bytes;
}

static int is_valid(const ft_flash_config *config) {
  const uint64_t region =
      2 * (uint64_t)config->page_bytes + 2 * (uint64_t)config->slot_bytes +
      (uint64_t)config->state_slots * config->state_slot_bytes;
  if (!is_power_of_two(config->page_bytes) ||
      config->page_bytes < FT_FLASH_MIN_PAGE ||
      !is_power_of_two(config->program_bytes) ||
      config->program_bytes > FT_FLASH_MAX_UNIT ||
      config->offset % config->page_bytes != 0 ||
      region + config->offset > UINT32_MAX)
    return 0;
  if (!holds(config, config->slot_bytes, config->adapter_bytes)) return 0;
  if (config->public_key && !config->verify) return 0;
  if (config->state_slots == 0) return 1;
  return config->state_slots >= 2 && config->state_slots <= 32 &&
         holds(config, config->state_slot_bytes, config->state_bytes);
}

ft_flash_status ft_flash_check_image(const ft_flash_config *config,
                                     uint32_t offset,
                                     const ft_image_expected *expected,
                                     ft_image *image) {
  const uint8_t *header = ft_flash_at(config, offset);
  const ft_flash_status status = ft_image_decode(header, image);
  if (status != FT_FLASH_OK) return status;
  if (image->kind != expected->kind) return FT_FLASH_WRONG_KIND;
  if (memcmp(image->base_hash, config->base_hash, FT_IMAGE_HASH_BYTES) != 0)
    return FT_FLASH_WRONG_BASE;
  if (memcmp(image->plan_hash, expected->plan_hash, FT_IMAGE_HASH_BYTES) != 0)
    return FT_FLASH_WRONG_PLAN;
  if (image->payload_bytes != expected->payload_bytes)
    return FT_FLASH_WRONG_LENGTH;
  if (image->kind == FT_IMAGE_ADAPTER && image->parent != config->number)
    return FT_FLASH_WRONG_NUMBER;
  return ft_crc32(0, header + FT_IMAGE_HEADER_BYTES, image->payload_bytes) ==
                 image->payload_crc
             ? FT_FLASH_OK
             : FT_FLASH_BAD_PAYLOAD_CRC;
}

ft_flash_status ft_flash_check_adapter(const ft_flash_config *config, int slot,
                                       ft_image *image) {
  const ft_image_expected expected = {FT_IMAGE_ADAPTER, config->adapter_bytes,
                                      config->plan_hash};
  return ft_flash_check_image(config, ft_flash_slot_offset(config, slot),
                              &expected, image);
}

ft_flash_status ft_flash_check_signature(const ft_flash_config *config,
                                         int slot, const ft_image *image) {
  if (!config->public_key) return FT_FLASH_OK;
  if (!(image->flags & FT_IMAGE_SIGNED)) return FT_FLASH_UNSIGNED;
  const uint8_t *header =
      ft_flash_at(config, ft_flash_slot_offset(config, slot));
  const size_t signed_bytes =
      FT_IMAGE_HEADER_BYTES - FT_IMAGE_SIGNED_OFFSET + image->payload_bytes;
  return config->verify(header + FT_IMAGE_SIGNATURE_OFFSET, config->public_key,
                        header + FT_IMAGE_SIGNED_OFFSET, signed_bytes)
             ? FT_FLASH_OK
             : FT_FLASH_BAD_SIGNATURE;
}

/* Whether the slot still holds the very image that was committed. */
static int is_intact(const ft_flash_config *config, int slot, uint32_t crc,
                     int check_signature, ft_image *image) {
  if (ft_flash_check_adapter(config, slot, image) != FT_FLASH_OK) return 0;
  if (image->header_crc != crc) return 0;
  return !check_signature ||
         ft_flash_check_signature(config, slot, image) == FT_FLASH_OK;
}

ft_flash_status ft_flash_open(ft_flash *store, const ft_flash_config *config) {
  memset(store, 0, sizeof *store);
  store->config = config;
  store->running = -1;
  store->target = -1;
  if (!is_valid(config)) return FT_FLASH_BAD_LAYOUT;
  ft_flash_read_log(store);
  if (store->running < 0) return FT_FLASH_NO_ADAPTER;
  ft_image image;
  if (is_intact(config, store->running, store->running_crc,
                config->verify_at_open, &image)) {
    store->running_version = image.version;
    return FT_FLASH_OK;
  }
  /* The reserve may have been overwritten by what was never committed, with a
   * CRC to match: its signature is checked again. */
  const int other = 1 - store->running;
  const int found =
      store->has_other && is_intact(config, other, store->other_crc, 1, &image);
  store->running = (int8_t)(found ? other : -1);
  store->running_crc = found ? store->other_crc : 0;
  store->running_version = found ? image.version : 0;
  store->has_other = 0;
  return found ? FT_FLASH_PREVIOUS : FT_FLASH_DAMAGED;
}

static const uint8_t *payload(const ft_flash *store, int slot) {
  return ft_flash_at(store->config, ft_flash_slot_offset(store->config, slot) +
                                        FT_IMAGE_HEADER_BYTES);
}

const uint8_t *ft_flash_adapter(const ft_flash *store) {
  return store->running < 0 ? NULL : payload(store, store->running);
}

uint32_t ft_flash_version(const ft_flash *store) {
  return store->running_version;
}

uint32_t ft_flash_highest_version(const ft_flash *store) {
  return store->highest_version;
}

uint32_t ft_flash_selected(const ft_flash *store) { return store->selected; }

ft_flash_status ft_flash_select(ft_flash *store, uint32_t selected) {
  if (store->target >= 0) return FT_FLASH_BAD_CALL;
  if (selected == store->selected) return FT_FLASH_OK;
  store->selected = selected;
  const ft_flash_status status = ft_flash_append_log(store);
  if (status != FT_FLASH_OK) (void)ft_flash_open(store, store->config);
  return status;
}

/* Looks at the other adapter once. */
static int other_is_intact(ft_flash *store) {
  ft_image image;
  if (store->running < 0 || !store->has_other) return 0;
  if (store->other_checked) return 1;
  if (!is_intact(store->config, 1 - store->running, store->other_crc, 1,
                 &image))
    return 0;
  store->other_version = image.version;
  store->other_checked = 1;
  return 1;
}

const uint8_t *ft_flash_other_adapter(ft_flash *store) {
  return other_is_intact(store) ? payload(store, 1 - store->running) : NULL;
}

ft_flash_status ft_flash_swap(ft_flash *store) {
  if (store->running < 0 || !store->has_other || store->target >= 0)
    return FT_FLASH_BAD_CALL;
  if (!other_is_intact(store)) return FT_FLASH_DAMAGED;
  if (store->other_version < store->highest_version)
    return FT_FLASH_OLDER_VERSION;
  const uint32_t crc = store->running_crc, version = store->running_version;
  store->running = (int8_t)(1 - store->running);
  store->running_crc = store->other_crc;
  store->running_version = store->other_version;
  store->other_crc = crc;
  store->other_version = version;
  const ft_flash_status status = ft_flash_append_log(store);
  if (status != FT_FLASH_OK) (void)ft_flash_open(store, store->config);
  return status;
}
