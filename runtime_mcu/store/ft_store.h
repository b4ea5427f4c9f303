/* The adapters and training states of a printed model in flash.
 *
 * FT_STORE_ADAPTERS adapters lie one behind the other, each with a log, two
 * slots and, where the model trains, a ring of states of its own (flash/
 * ft_flash.h). A number says which one is meant; device images carry it
 * ('fieldtune export --adapter-number'), so that one adapter's image is no
 * update of another. One of them is selected: its values are what ft_infer
 * uses, also after the next reset.
 *
 * A reset may cut off every function at any moment: afterwards the adapter of
 * before is selected and whole, or the new one. Whatever a function returns but
 * FT_FLASH_OK, ft_infer goes on with the values that it used before. Not for
 * two threads at a time. */
#ifndef FT_STORE_H_
#define FT_STORE_H_

#include "flash/ft_flash.h"
#include "ft_model.h"
#include "ft_store_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of flash that all of it takes, with pages of `page` bytes; the first
 * byte is aligned to 16. */
#define FT_STORE_BYTES(page)                                    \
  (FT_STORE_ADAPTERS *                                          \
   (2u * (page) + 2u * FT_STORE_PAGES(FT_ADAPTER_BYTES, page) + \
    FT_STORE_STATES * FT_STORE_PAGES(FT_STORE_STATE_BYTES, page)))
#define FT_STORE_PAGES(payload, page) \
  (((payload) + FT_IMAGE_HEADER_BYTES + (page)-1u) / (page) * (page))

/* What the device has: three functions, and the sizes that they work in. */
typedef struct ft_store_flash {
  ft_flash_driver driver;
  uint32_t page_bytes;    /* that are erased at once: a power of two from 128 */
  uint32_t program_bytes; /* that are programmed at once: up to 32 */
  uint8_t verify_at_open; /* signatures at every start too, not only before an
                             adapter is taken: costs time */
} ft_store_flash;

/* The caller's memory; fields are private. Not to be moved once it is open. */
typedef struct ft_store {
  ft_flash_config configs[FT_STORE_ADAPTERS];
  ft_flash adapters[FT_STORE_ADAPTERS];
  uint32_t receiving; /* an adapter's number, or FT_STORE_ADAPTERS */
} ft_store;

/* After ft_init, at every start: ft_infer uses the selected adapter from now
 * on. OK; PREVIOUS: its newest version is damaged, the one before is used;
 * NO_ADAPTER and DAMAGED: there is none, and ft_infer goes on with what ft_init
 * gave it. In these four cases the store can be used. BAD_LAYOUT otherwise. */
ft_flash_status ft_store_open(ft_store *s, ft_model *m,
                              const ft_store_flash *flash);

/* Receives a device image of `image_bytes` for adapter `number`, in pieces of
 * any size. ft_infer may come in between. If the last function returns OK, the
 * adapter is in flash, and in use if it is the selected one. Any other status:
 * it was refused, and what was there stays. */
ft_flash_status ft_store_begin(ft_store *s, uint32_t number,
                               uint32_t image_bytes);
ft_flash_status ft_store_write(ft_store *s, const uint8_t *bytes,
                               uint32_t count);
ft_flash_status ft_store_end(ft_store *s, ft_model *m);
/* The three of them at once, for an image that is in memory. */
ft_flash_status ft_store_install(ft_store *s, ft_model *m, uint32_t number,
                                 const uint8_t *image, uint32_t image_bytes);

/* Selects adapter `number`, which was checked when it came or the store was
 * opened: one record of 64 bytes, and ft_infer uses it. NO_ADAPTER: there is
 * none of this number. */
ft_flash_status ft_store_swap(ft_store *s, ft_model *m, uint32_t number);
uint32_t ft_store_selected(const ft_store *s);
/* The version of an adapter, 0 if there is none. */
uint32_t ft_store_version(const ft_store *s, uint32_t number);

#if FT_STORE_STATES > 0
/* Keeps what training needs to go on later, to the same bits, beside the
 * selected adapter: FT_STORE_STATE_BYTES and a header. Between two steps only:
 * BAD_CALL while ft_train_poll is within one. */
ft_flash_status ft_store_save(ft_store *s, const ft_model *m);
/* Training goes on from the newest state; what ft_infer uses stays (after
 * ft_swap_adapter(m, 0): the trained values). NO_STATE: there is none.
 * STALE_STATE: it belongs to an adapter that was replaced since. */
ft_flash_status ft_store_load(const ft_store *s, ft_model *m);
#endif

#ifdef __cplusplus
}
#endif
#endif /* FT_STORE_H_ */
