/* Adapters and training states in flash, safe against power cuts and bit rot.
 *
 * The region, whose pages the driver erases and programs, holds in this order:
 *
 *   2 log pages      which slot runs, and the highest version so far
 *   2 adapter slots  each slot_bytes
 *   state slots      each state_slot_bytes; none, or at least two
 *
 * An adapter is written to the slot that does not run, checked where it lies,
 * and committed by appending one 64-byte record to the log: until that is
 * complete the old adapter runs, from then on the new one. The old one stays
 * as a reserve in case of bit rot. The log keeps the highest version that was
 * ever committed, and nothing below it is taken again. A state is written
 * beside the newest one; its header comes last and makes it valid.
 *
 * No heap, no globals; every function may be cut off by a reset at any moment
 * and ft_flash_open() afterwards finds an intact adapter, the old one or the
 * new. Not for two threads at a time.
 */
#ifndef FT_FLASH_H
#define FT_FLASH_H

#include <stddef.h>
#include <stdint.h>

#include "ft_flash_status.h"
#include "ft_image.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FT_FLASH_MAX_UNIT 32u     /* largest unit of programming, bytes */
#define FT_FLASH_RECORD_BYTES 64u /* what one commit takes in the log */
#define FT_FLASH_MIN_PAGE 128u

/* Three functions over one region of memory-mapped flash; offsets are bytes
 * from its start, which is aligned to 16 bytes. Programming can only clear
 * bits; `erase_page` sets all of a page. Both return 0 for success. */
typedef struct ft_flash_driver {
  void *context;
  const uint8_t *(*map)(void *context, uint32_t offset);
  int (*erase_page)(void *context, uint32_t offset);
  /* `offset` and `count` are multiples of program_bytes, inside of one slot;
   * each unit is programmed once between two erases. */
  int (*program)(void *context, uint32_t offset, const uint8_t *bytes,
                 uint32_t count);
} ft_flash_driver;

/* 1 if `signature` of `message` was made by the owner of `key`. */
typedef int (*ft_flash_verify)(const uint8_t signature[64],
                               const uint8_t key[32], const uint8_t *message,
                               size_t bytes);

/* Must outlive the store. */
typedef struct ft_flash_config {
  ft_flash_driver driver;
  uint32_t offset;        /* of the region, a multiple of page_bytes */
  uint32_t page_bytes;    /* a power of two, at least FT_FLASH_MIN_PAGE */
  uint32_t program_bytes; /* a power of two, at most FT_FLASH_MAX_UNIT */
  uint32_t slot_bytes;    /* whole pages */
  uint32_t state_slot_bytes;
  uint32_t state_slots; /* 0, or 2 to 32 */

  /* What the program reads: images that differ are refused. */
  uint32_t number;        /* of several adapters of one device; else 0 */
  uint32_t adapter_bytes; /* payload of an adapter */
  uint32_t state_bytes;   /* payload of a state */
  uint8_t base_hash[FT_IMAGE_HASH_BYTES];
  uint8_t plan_hash[FT_IMAGE_HASH_BYTES];       /* of inference */
  uint8_t state_plan_hash[FT_IMAGE_HASH_BYTES]; /* of training */

  /* Null: unsigned images are taken too, and signatures are not looked at. */
  const uint8_t *public_key;
  ft_flash_verify verify;
  uint8_t verify_at_open; /* not only before a commit: costs time */
} ft_flash_config;

/* The caller's memory; fields are private. */
typedef struct ft_flash {
  const ft_flash_config *config;
  int8_t running; /* slot of the adapter in use, -1: none */
  int8_t has_other, other_checked;
  uint8_t log_page, log_empty;
  uint32_t log_next; /* offset of the next record in its page */
  uint32_t sequence, highest_version;
  uint32_t running_crc, other_crc; /* header CRCs */
  uint32_t running_version, other_version;
  uint32_t selected;
  /* An adapter that is being received. */
  int8_t target;
  uint8_t pending_count;
  uint32_t received, expected;
  uint8_t pending[FT_FLASH_MAX_UNIT];
} ft_flash;

/* The bytes of a region with this configuration. */
uint32_t ft_flash_region_bytes(const ft_flash_config *config);

/* Finds the adapter to run. OK; PREVIOUS: the newest one is damaged and the
 * one before it runs; NO_ADAPTER and DAMAGED: the base model alone. In all four
 * cases the store can be used. BAD_LAYOUT otherwise. */
ft_flash_status ft_flash_open(ft_flash *store, const ft_flash_config *config);

/* The values of the adapter that runs, in flash; null if none does. */
const uint8_t *ft_flash_adapter(const ft_flash *store);
/* Its version, 0 if none runs, and the highest one that was ever committed. */
uint32_t ft_flash_version(const ft_flash *store);
uint32_t ft_flash_highest_version(const ft_flash *store);

/* Receives an image of `image_bytes` (header and payload) in pieces of any
 * size, checks it in its slot and commits it. What ft_flash_adapter() returned
 * stays valid and unchanged until ft_flash_end() returns OK; then the store
 * runs the new adapter. Any other status leaves the old one. */
ft_flash_status ft_flash_begin(ft_flash *store, uint32_t image_bytes);
ft_flash_status ft_flash_write(ft_flash *store, const uint8_t *bytes,
                               uint32_t count);
ft_flash_status ft_flash_end(ft_flash *store);

/* The other slot's adapter, for swapping: its values, or null if it is not
 * intact or was never committed. The first call after ft_flash_open() checks
 * signature and CRC. */
const uint8_t *ft_flash_other_adapter(ft_flash *store);
/* Commits a swap of the two slots: one record of the log, once the other
 * adapter has been checked. OLDER_VERSION if it is older than the highest
 * version. */
ft_flash_status ft_flash_swap(ft_flash *store);

/* A number that the caller keeps in the log, 0 until it is set: which of
 * several stores is in use. One record of the log; the adapters are not
 * touched. */
uint32_t ft_flash_selected(const ft_flash *store);
ft_flash_status ft_flash_select(ft_flash *store, uint32_t selected);

/* A piece of memory that a state is made of. */
typedef struct ft_flash_part {
  const void *bytes;
  uint32_t count;
} ft_flash_part;

/* Writes a training state: the parts one after the other, state_bytes in all,
 * bound to the adapter that runs. The newest state stays until this one is
 * complete. */
ft_flash_status ft_flash_save_state(ft_flash *store, const ft_flash_part *parts,
                                    uint32_t part_count);
/* The newest intact state of this program: `*state` points to its payload in
 * flash, null unless OK. STALE_STATE: it goes on from another adapter than the
 * one that runs. */
ft_flash_status ft_flash_load_state(const ft_flash *store,
                                    const uint8_t **state);

#ifdef __cplusplus
}
#endif

#endif
