/* The board's flash: the store of adapters and training states, and behind it
 * the lessons. Emulated boards have none to write to, so it is a region of RAM
 * that a loss of power spares; on a device, these are its three functions. */
#ifndef FLASH_REGION_H_
#define FLASH_REGION_H_

#include "ft_store.h"

enum { FLASH_PAGE_BYTES = 1024, FLASH_LESSON_PAGES = 8 };

/* For the store: offset 0 is its first byte. */
extern const ft_store_flash flash_for_store;

const uint8_t *flash_lessons(void);
void flash_erase_lessons(void);
/* Within lessons that are erased. */
void flash_program_lesson(uint32_t offset, const void *bytes, uint32_t count);

#endif /* FLASH_REGION_H_ */
