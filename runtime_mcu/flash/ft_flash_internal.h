/* What the files of this folder share; not for generated code. */
#ifndef FT_FLASH_INTERNAL_H
#define FT_FLASH_INTERNAL_H

#include "ft_flash.h"

/* What an image is held against, apart from its own checksums. */
typedef struct ft_image_expected {
  uint8_t kind;
  uint32_t payload_bytes;
  const uint8_t *plan_hash;
} ft_image_expected;

/* `image` in flash at `offset`: header, belonging and payload; no signature. */
ft_flash_status ft_flash_check_image(const ft_flash_config *config,
                                     uint32_t offset,
                                     const ft_image_expected *expected,
                                     ft_image *image);
ft_flash_status ft_flash_check_adapter(const ft_flash_config *config, int slot,
                                       ft_image *image);
/* OK where no key is configured. */
ft_flash_status ft_flash_check_signature(const ft_flash_config *config,
                                         int slot, const ft_image *image);

uint32_t ft_flash_slot_offset(const ft_flash_config *config, int slot);

/* Where the driver has the byte `offset` of the region. */
const uint8_t *ft_flash_at(const ft_flash_config *config, uint32_t offset);
/* Erases the pages that `count` bytes from `offset` touch. */
ft_flash_status ft_flash_erase(const ft_flash_config *config, uint32_t offset,
                               uint32_t count);
/* Programs whole units and reads them back. */
ft_flash_status ft_flash_program(const ft_flash_config *config, uint32_t offset,
                                 const uint8_t *bytes, uint32_t count);

/* The log: which slot runs. */
void ft_flash_read_log(ft_flash *store);
/* Appends a record of what the store's fields say. */
ft_flash_status ft_flash_append_log(ft_flash *store);

#endif
