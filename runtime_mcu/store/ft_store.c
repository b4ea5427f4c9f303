#include "ft_store.h"

#include <string.h>

#if FT_STORE_SIGNED
#include "flash/ft_ed25519.h"
static const uint8_t public_key[FT_IMAGE_KEY_BYTES] = FT_STORE_PUBLIC_KEY;
#endif
static const uint8_t base_hash[FT_IMAGE_HASH_BYTES] = FT_STORE_BASE_HASH;
static const uint8_t plan_hash[FT_IMAGE_HASH_BYTES] = FT_STORE_PLAN_HASH;
#if FT_STORE_STATES > 0
static const uint8_t state_hash[FT_IMAGE_HASH_BYTES] = FT_STORE_STATE_HASH;
#endif

static void configure(ft_flash_config *c, const ft_store_flash *flash,
                      uint32_t number) {
  const uint32_t page = flash->page_bytes;
  memset(c, 0, sizeof *c);
  c->driver = flash->driver;
  c->number = number;
  c->page_bytes = page;
  c->program_bytes = flash->program_bytes;
  c->verify_at_open = flash->verify_at_open;
  c->adapter_bytes = FT_ADAPTER_BYTES;
  memcpy(c->base_hash, base_hash, sizeof base_hash);
  memcpy(c->plan_hash, plan_hash, sizeof plan_hash);
#if FT_STORE_SIGNED
  c->public_key = public_key;
  c->verify = ft_ed25519_verify;
#endif
#if FT_STORE_STATES > 0
  c->state_slots = FT_STORE_STATES;
  c->state_bytes = FT_STORE_STATE_BYTES;
  memcpy(c->state_plan_hash, state_hash, sizeof state_hash);
#endif
  if (page == 0) return; /* opening refuses it */
  c->slot_bytes = FT_STORE_PAGES(FT_ADAPTER_BYTES, page);
#if FT_STORE_STATES > 0
  c->state_slot_bytes = FT_STORE_PAGES(FT_STORE_STATE_BYTES, page);
#endif
  c->offset = number * ft_flash_region_bytes(c);
}

/* In the log of the first adapter. */
uint32_t ft_store_selected(const ft_store *s) {
  const uint32_t selected = ft_flash_selected(&s->adapters[0]);
  return selected < FT_STORE_ADAPTERS ? selected : 0;
}

/* What is selected in flash is what runs, also where a driver's failure left a
 * commit half told: ft_infer never reads a slot that may be erased. */
static void use_selected(const ft_store *s, ft_model *m) {
  const uint8_t *adapter = ft_flash_adapter(&s->adapters[ft_store_selected(s)]);
  m->adapter = adapter ? adapter : m->persistent;
}

ft_flash_status ft_store_open(ft_store *s, ft_model *m,
                              const ft_store_flash *flash) {
  ft_flash_status found[FT_STORE_ADAPTERS];
  s->receiving = FT_STORE_ADAPTERS;
  for (uint32_t i = 0; i < FT_STORE_ADAPTERS; ++i) {
    configure(&s->configs[i], flash, i);
    found[i] = ft_flash_open(&s->adapters[i], &s->configs[i]);
    if (found[i] == FT_FLASH_BAD_LAYOUT) return FT_FLASH_BAD_LAYOUT;
  }
  use_selected(s, m);
  return found[ft_store_selected(s)];
}

ft_flash_status ft_store_begin(ft_store *s, uint32_t number,
                               uint32_t image_bytes) {
  if (number >= FT_STORE_ADAPTERS) return FT_FLASH_BAD_CALL;
  const ft_flash_status status =
      ft_flash_begin(&s->adapters[number], image_bytes);
  s->receiving = status == FT_FLASH_OK ? number : FT_STORE_ADAPTERS;
  return status;
}

ft_flash_status ft_store_write(ft_store *s, const uint8_t *bytes,
                               uint32_t count) {
  if (s->receiving >= FT_STORE_ADAPTERS) return FT_FLASH_BAD_CALL;
  return ft_flash_write(&s->adapters[s->receiving], bytes, count);
}

ft_flash_status ft_store_end(ft_store *s, ft_model *m) {
  const uint32_t number = s->receiving;
  if (number >= FT_STORE_ADAPTERS) return FT_FLASH_BAD_CALL;
  s->receiving = FT_STORE_ADAPTERS;
  const ft_flash_status status = ft_flash_end(&s->adapters[number]);
  if (number == ft_store_selected(s) &&
      (status == FT_FLASH_OK || m->adapter != m->persistent))
    use_selected(s, m);
  return status;
}

ft_flash_status ft_store_install(ft_store *s, ft_model *m, uint32_t number,
                                 const uint8_t *image, uint32_t image_bytes) {
  ft_flash_status status = ft_store_begin(s, number, image_bytes);
  if (status == FT_FLASH_OK) status = ft_store_write(s, image, image_bytes);
  return status == FT_FLASH_OK ? ft_store_end(s, m) : status;
}

ft_flash_status ft_store_swap(ft_store *s, ft_model *m, uint32_t number) {
  if (number >= FT_STORE_ADAPTERS) return FT_FLASH_BAD_CALL;
  if (!ft_flash_adapter(&s->adapters[number])) return FT_FLASH_NO_ADAPTER;
  const ft_flash_status status = ft_flash_select(&s->adapters[0], number);
  if (status == FT_FLASH_OK || m->adapter != m->persistent) use_selected(s, m);
  return status;
}

uint32_t ft_store_version(const ft_store *s, uint32_t number) {
  return number < FT_STORE_ADAPTERS ? ft_flash_version(&s->adapters[number])
                                    : 0;
}

#if FT_STORE_STATES > 0
ft_flash_status ft_store_save(ft_store *s, const ft_model *m) {
  const ft_flash_part parts[2] = {{&m->step, sizeof m->step},
                                  {m->persistent, FT_PERSISTENT_BYTES}};
  if (m->next_call != 0) return FT_FLASH_BAD_CALL;
  return ft_flash_save_state(&s->adapters[ft_store_selected(s)], parts, 2);
}

ft_flash_status ft_store_load(const ft_store *s, ft_model *m) {
  const uint8_t *state;
  const ft_flash_status status =
      ft_flash_load_state(&s->adapters[ft_store_selected(s)], &state);
  if (status != FT_FLASH_OK) return status;
  memcpy(&m->step, state, sizeof m->step);
  memcpy(m->persistent, state + sizeof m->step, FT_PERSISTENT_BYTES);
  m->next_call = 0;
  return FT_FLASH_OK;
}
#endif
