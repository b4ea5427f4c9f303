/* Receiving an adapter: written to the slot that does not run, checked there,
 * committed by one record of the log. */
#include <string.h>

#include "ft_flash_internal.h"

ft_flash_status ft_flash_begin(ft_flash *store, uint32_t image_bytes) {
  const ft_flash_config *config = store->config;
  store->target = -1;
  if (image_bytes > config->slot_bytes) return FT_FLASH_TOO_LARGE;
  if (image_bytes != FT_IMAGE_HEADER_BYTES + config->adapter_bytes)
    return FT_FLASH_WRONG_LENGTH;
  const int target = store->running < 0 ? 0 : 1 - store->running;
  const ft_flash_status status =
      ft_flash_erase(config, ft_flash_slot_offset(config, target), image_bytes);
  store->has_other = 0; /* in this store; the log is told with the commit */
  store->other_checked = 0;
  if (status != FT_FLASH_OK) return status;
  store->target = (int8_t)target;
  store->pending_count = 0;
  store->received = 0;
  store->expected = image_bytes;
  return FT_FLASH_OK;
}

/* Programs what came in before `received`, whose last bytes are at `bytes`. */
static ft_flash_status program_next(ft_flash *store, const uint8_t *bytes,
                                    uint32_t count) {
  const uint32_t offset =
      ft_flash_slot_offset(store->config, store->target) + store->received;
  const ft_flash_status status =
      ft_flash_program(store->config, offset, bytes, count);
  if (status != FT_FLASH_OK) store->target = -1;
  store->received += count;
  return status;
}

ft_flash_status ft_flash_write(ft_flash *store, const uint8_t *bytes,
                               uint32_t count) {
  const uint32_t unit = store->config->program_bytes;
  if (store->target < 0) return FT_FLASH_BAD_CALL;
  if (count > store->expected - store->received - store->pending_count) {
    store->target = -1;
    return FT_FLASH_WRONG_LENGTH;
  }
  while (count > 0) {
    ft_flash_status status = FT_FLASH_OK;
    if (store->pending_count == 0 && count >= unit) {
      const uint32_t whole = count - count % unit;
      status = program_next(store, bytes, whole);
      bytes += whole;
      count -= whole;
    } else {
      store->pending[store->pending_count++] = *bytes++;
      --count;
      if (store->pending_count == unit) {
        store->pending_count = 0;
        status = program_next(store, store->pending, unit);
      }
    }
    if (status != FT_FLASH_OK) return status;
  }
  return FT_FLASH_OK;
}

/* The last unit, filled up with what erased flash holds. */
static ft_flash_status flush(ft_flash *store) {
  const uint32_t unit = store->config->program_bytes;
  const uint32_t count = store->pending_count;
  if (store->received + count != store->expected) return FT_FLASH_WRONG_LENGTH;
  if (count == 0) return FT_FLASH_OK;
  memset(store->pending + count, 0xFF, unit - count);
  store->pending_count = 0;
  return program_next(store, store->pending, unit);
}

static ft_flash_status check_received(const ft_flash *store, int slot,
                                      ft_image *image) {
  const ft_flash_status status =
      ft_flash_check_adapter(store->config, slot, image);
  if (status != FT_FLASH_OK) return status;
  if (image->version < store->highest_version) return FT_FLASH_OLDER_VERSION;
  return ft_flash_check_signature(store->config, slot, image);
}

ft_flash_status ft_flash_end(ft_flash *store) {
  const ft_flash_config *config = store->config;
  const int slot = store->target;
  ft_image image;
  if (slot < 0) return FT_FLASH_BAD_CALL;
  ft_flash_status status = flush(store);
  store->target = -1;
  if (status == FT_FLASH_OK) status = check_received(store, slot, &image);
  if (status != FT_FLASH_OK) {
    /* It is not committed and could not run; its header goes all the same. */
    (void)ft_flash_erase(config, ft_flash_slot_offset(config, slot), 1);
    return status;
  }
  /* The reserve was checked when the store was opened, or when it came. */
  store->has_other = store->running >= 0;
  store->other_checked = store->has_other;
  store->other_crc = store->running_crc;
  store->other_version = store->running_version;
  store->running = (int8_t)slot;
  store->running_crc = image.header_crc;
  store->running_version = image.version;
  store->highest_version = image.version; /* not below: it was checked */
  status = ft_flash_append_log(store);
  /* Flash decides what runs, however much of the record it has. */
  if (status != FT_FLASH_OK) (void)ft_flash_open(store, config);
  return status;
}
