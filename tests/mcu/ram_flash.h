/* Flash that is a region of RAM, whose start is the driver's context: what
 * boards without any use. Pages of kPage bytes. */
#ifndef FT_TESTS_MCU_RAM_FLASH_H_
#define FT_TESTS_MCU_RAM_FLASH_H_

#include <stdint.h>
#include <string.h>

enum { kPage = 1024, kUnit = 8 };

static const uint8_t *ram_map(void *flash, uint32_t offset) {
  return (const uint8_t *)flash + offset;
}

static int ram_erase_page(void *flash, uint32_t offset) {
  memset((uint8_t *)flash + offset, 0xFF, kPage);
  return 0;
}

static int ram_program(void *flash, uint32_t offset, const uint8_t *bytes,
                       uint32_t count) {
  memcpy((uint8_t *)flash + offset, bytes, count); /* it is erased */
  return 0;
}

#endif /* FT_TESTS_MCU_RAM_FLASH_H_ */
