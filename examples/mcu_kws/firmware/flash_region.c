#include "flash_region.h"

#include <string.h>

enum { STORE_BYTES = FT_STORE_BYTES(FLASH_PAGE_BYTES) };

static FT_ALIGNED uint8_t
    region[STORE_BYTES + FLASH_LESSON_PAGES * FLASH_PAGE_BYTES];

static const uint8_t *map(void *flash, uint32_t offset) {
  return (const uint8_t *)flash + offset;
}

static int erase_page(void *flash, uint32_t offset) {
  memset((uint8_t *)flash + offset, 0xFF, FLASH_PAGE_BYTES);
  return 0;
}

static int program(void *flash, uint32_t offset, const uint8_t *bytes,
                   uint32_t count) {
  uint8_t *to = (uint8_t *)flash + offset;
  uint32_t i;
  for (i = 0; i < count; ++i) to[i] &= bytes[i]; /* bits only fall */
  return 0;
}

const ft_store_flash flash_for_store = {
    .driver = {region, map, erase_page, program},
    .page_bytes = FLASH_PAGE_BYTES,
    .program_bytes = 8};

const uint8_t *flash_lessons(void) { return map(region, STORE_BYTES); }

void flash_erase_lessons(void) {
  uint32_t page;
  for (page = 0; page < FLASH_LESSON_PAGES; ++page)
    erase_page(region, STORE_BYTES + page * FLASH_PAGE_BYTES);
}

void flash_program_lesson(uint32_t offset, const void *bytes, uint32_t count) {
  program(region, STORE_BYTES + offset, bytes, count);
}
