/* A printed model with its store as a library that store_power_cut_test.cc
 * loads: one device, whose memory can be put back to where it was. */
#include <string.h>

#include "ft_store.h"

static ft_model model, model_before;
static ft_store store, store_before;
static ft_store_flash flash; /* the user's: not lost in a reset */

uint32_t shim_region_bytes(uint32_t page);
ft_flash_status shim_reset(const ft_flash_driver *driver, uint32_t page,
                           uint32_t unit);
void shim_keep(void);
void shim_put_back(void);
ft_flash_status shim_install(uint32_t number, const uint8_t *image,
                             uint32_t bytes);
ft_flash_status shim_swap(uint32_t number);
ft_flash_status shim_save(void);
ft_flash_status shim_load(void);
uint32_t shim_selected(void);
uint32_t shim_version(uint32_t number);
const uint8_t *shim_values(void);
const uint8_t *shim_training(int64_t *step);
void shim_start_training(void);
int shim_train(const void *input, uint32_t bytes, int32_t label);
const void *shim_answer(const void *input, uint32_t bytes);

uint32_t shim_region_bytes(uint32_t page) { return FT_STORE_BYTES(page); }

/* All memory is lost; what it held before must not matter. */
ft_flash_status shim_reset(const ft_flash_driver *driver, uint32_t page,
                           uint32_t unit) {
  flash.driver = *driver;
  flash.page_bytes = page;
  flash.program_bytes = unit;
  memset(&model, 0xA5, sizeof model);
  memset(&store, 0xA5, sizeof store);
  ft_init(&model);
  return ft_store_open(&store, &model, &flash);
}

void shim_keep(void) {
  model_before = model;
  store_before = store;
}
void shim_put_back(void) {
  model = model_before;
  store = store_before;
}

ft_flash_status shim_install(uint32_t number, const uint8_t *image,
                             uint32_t bytes) {
  ft_flash_status status = ft_store_begin(&store, number, bytes);
  uint32_t at;
  for (at = 0; at < bytes && status == FT_FLASH_OK; at += 61)
    status =
        ft_store_write(&store, image + at, bytes - at < 61 ? bytes - at : 61);
  return status == FT_FLASH_OK ? ft_store_end(&store, &model) : status;
}

ft_flash_status shim_swap(uint32_t number) {
  return ft_store_swap(&store, &model, number);
}
ft_flash_status shim_save(void) { return ft_store_save(&store, &model); }
ft_flash_status shim_load(void) { return ft_store_load(&store, &model); }
uint32_t shim_selected(void) { return ft_store_selected(&store); }
uint32_t shim_version(uint32_t number) {
  return ft_store_version(&store, number);
}
const uint8_t *shim_values(void) { return model.adapter; }

const uint8_t *shim_training(int64_t *step) {
  *step = model.step;
  return model.persistent;
}

void shim_start_training(void) { ft_start_training(&model); }

int shim_train(const void *input, uint32_t bytes, int32_t label) {
  memcpy(ft_train_input(&model), input, bytes);
  memcpy(ft_train_target(&model), &label, sizeof label);
  return ft_train_step(&model) == FT_OK;
}

const void *shim_answer(const void *input, uint32_t bytes) {
  memcpy(ft_infer_input(&model), input, bytes);
  ft_infer(&model);
  return ft_infer_answer(&model);
}
