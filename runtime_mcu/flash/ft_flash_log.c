/* The log: two pages of records, of which the one with the highest sequence
 * number counts.
 *
 * A record is written twice, so that a flipped bit cannot take the version
 * counter back; one copy is enough. When a page is full the other one is erased
 * and goes on: the newest record is never on the page that is erased.
 *
 *   offset bytes (of one copy)
 *        0     4  magic "FTLG"
 *        4     4  sequence number
 *        8     4  highest version ever committed
 *       12     4  slot that runs, 0 or 1; plus 2 if the other one is a reserve;
 *                 4: none was ever committed
 *       16     4  header CRC of the image in the slot that runs
 *       20     4  header CRC of the reserve, else 0
 *       24     4  what ft_flash_select() was told
 *       28     4  CRC-32 of the bytes before
 */
#include <string.h>

#include "ft_bytes.h"
#include "ft_crc32.h"
#include "ft_flash_internal.h"

enum { kCopyBytes = 32, kCrcAt = 28, kNoSlot = 4 };

static const uint8_t kMagic[4] = {'F', 'T', 'L', 'G'};

static int is_valid_copy(const uint8_t *copy) {
  return memcmp(copy, kMagic, sizeof kMagic) == 0 &&
         ft_get_u32(copy + 12) <= kNoSlot &&
         ft_get_u32(copy + kCrcAt) == ft_crc32(0, copy, kCrcAt);
}

static int is_erased(const uint8_t *bytes, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (bytes[i] != 0xFF) return 0;
  return 1;
}

/* Takes over a copy that is newer than what the store has. */
static void take_copy(ft_flash *store, uint8_t page, const uint8_t *copy) {
  if (!is_valid_copy(copy)) return;
  const uint32_t sequence = ft_get_u32(copy + 4);
  if (!store->log_empty && sequence <= store->sequence) return;
  const uint32_t slots = ft_get_u32(copy + 12);
  store->log_empty = 0;
  store->log_page = page;
  store->sequence = sequence;
  store->highest_version = ft_get_u32(copy + 8);
  store->running = (int8_t)(slots == kNoSlot ? -1 : (int)(slots & 1u));
  store->has_other = slots == 2 || slots == 3;
  store->running_crc = ft_get_u32(copy + 16);
  store->other_crc = ft_get_u32(copy + 20);
  store->selected = ft_get_u32(copy + 24);
}

static const uint8_t *page_bytes(const ft_flash_config *config, uint8_t page) {
  return ft_flash_at(config, page * config->page_bytes);
}

void ft_flash_read_log(ft_flash *store) {
  const ft_flash_config *config = store->config;
  store->log_empty = 1;
  store->log_page = 0;
  store->sequence = 0;
  store->highest_version = 0;
  store->running = -1;
  store->has_other = 0;
  store->running_crc = 0;
  store->other_crc = 0;
  store->selected = 0;
  for (uint8_t page = 0; page < 2; ++page) {
    const uint8_t *bytes = page_bytes(config, page);
    for (uint32_t at = 0; at < config->page_bytes; at += kCopyBytes)
      take_copy(store, page, bytes + at);
  }
  /* Behind everything that is written on the page, torn records included. */
  const uint8_t *bytes = page_bytes(config, store->log_page);
  uint32_t next = config->page_bytes;
  while (next >= FT_FLASH_RECORD_BYTES &&
         is_erased(bytes + next - FT_FLASH_RECORD_BYTES, FT_FLASH_RECORD_BYTES))
    next -= FT_FLASH_RECORD_BYTES;
  store->log_next = next;
}

static void encode(const ft_flash *store, uint32_t sequence,
                   uint8_t record[FT_FLASH_RECORD_BYTES]) {
  memset(record, 0, kCopyBytes);
  memcpy(record, kMagic, sizeof kMagic);
  ft_put_u32(record + 4, sequence);
  ft_put_u32(record + 8, store->highest_version);
  const uint32_t slot = (uint32_t)store->running + (store->has_other ? 2u : 0u);
  ft_put_u32(record + 12, store->running < 0 ? kNoSlot : slot);
  ft_put_u32(record + 16, store->running_crc);
  ft_put_u32(record + 20, store->has_other ? store->other_crc : 0);
  ft_put_u32(record + 24, store->selected);
  ft_put_u32(record + kCrcAt, ft_crc32(0, record, kCrcAt));
  memcpy(record + kCopyBytes, record, kCopyBytes);
}

ft_flash_status ft_flash_append_log(ft_flash *store) {
  const ft_flash_config *config = store->config;
  uint8_t record[FT_FLASH_RECORD_BYTES];
  encode(store, store->sequence + 1, record);
  if (store->log_next + FT_FLASH_RECORD_BYTES > config->page_bytes) {
    const uint8_t page = (uint8_t)(1 - store->log_page);
    const ft_flash_status status =
        ft_flash_erase(config, page * config->page_bytes, config->page_bytes);
    if (status != FT_FLASH_OK) return status;
    store->log_page = page;
    store->log_next = 0;
  }
  const uint32_t offset =
      store->log_page * config->page_bytes + store->log_next;
  store->log_next += FT_FLASH_RECORD_BYTES;
  const ft_flash_status status =
      ft_flash_program(config, offset, record, FT_FLASH_RECORD_BYTES);
  if (status != FT_FLASH_OK) return status;
  store->log_empty = 0;
  ++store->sequence;
  return FT_FLASH_OK;
}
