/* A model that 'fieldtune compile --flash 2' printed, through the life of its
 * adapters: a.img and b.img are installed and swapped, resets come in between,
 * images that must be refused are, and training goes on from a saved state as
 * if nothing had been. On a board or, with FT_HOST, here; samples.h is that of
 * model_driver.c. Each answer is one line; a.bin and b.bin are the outputs. */
#include <string.h>

#include "ft_model.h"
#include "ft_store.h"
#include "ram_flash.h"
#include "samples.h"

#ifdef FT_HOST
#include <stdio.h>
#include <stdlib.h>
static void ft_mark_begin(const char *name) { (void)name; }
static void ft_mark_end(void) {}
static void ft_board_write(const char *text) { fputs(text, stdout); }
static void fail(const char *sentence) {
  puts(sentence);
  exit(1);
}
static int write_file(const char *path, const void *data, uint32_t bytes) {
  FILE *f = fopen(path, "wb");
  const size_t written = f ? fwrite(data, 1, bytes, f) : 0;
  return f && fclose(f) == 0 && written == bytes ? 0 : -1;
}
static uint32_t read_file(const char *path, void *to, uint32_t capacity) {
  FILE *f = fopen(path, "rb");
  const size_t count = f ? fread(to, 1, capacity, f) : 0;
  if (!f || fclose(f) != 0) fail(path);
  return (uint32_t)count;
}
#else
#include "boards/board.h"
#define write_file ft_board_write_file
#define fail ft_board_fail
static uint32_t read_file(const char *path, void *to, uint32_t capacity) {
  const int32_t count = ft_board_read_file(path, 0, to, capacity);
  if (count < 0) fail(path);
  return (uint32_t)count;
}
#endif

static ft_model model;
static ft_store store;
static FT_ALIGNED uint8_t region[FT_STORE_BYTES(kPage)];
static FT_ALIGNED uint8_t image[FT_ADAPTER_BYTES + 256];
static uint8_t before[FT_ADAPTER_BYTES];

static const ft_store_flash flash = {
    {region, ram_map, ram_erase_page, ram_program}, kPage, kUnit, 0};

static void say(const char *what, ft_flash_status status) {
  ft_board_write(what);
  ft_board_write(": ");
  ft_board_write(ft_flash_status_text(status));
  ft_board_write("\n");
}

/* All memory but flash is lost. */
static ft_flash_status reset(void) {
  memset(&model, 0xA5, sizeof model);
  memset(&store, 0xA5, sizeof store);
  ft_init(&model);
  return ft_store_open(&store, &model, &flash);
}

static void answer(const char *path) {
  memcpy(ft_infer_input(&model), inputs[0], INPUT_BYTES);
  ft_infer(&model);
  if (write_file(path, ANSWER(&model), ANSWER_BYTES) != 0) fail(path);
}

static ft_flash_status install(uint32_t number, const char *path) {
  const uint32_t bytes = read_file(path, image, sizeof image);
  return ft_store_install(&store, &model, number, image, bytes);
}

/* What is refused changes nothing, now and after a reset. */
static void refuse(const char *what, uint32_t number, uint32_t bytes) {
  memcpy(before, model.adapter, FT_ADAPTER_BYTES);
  say(what, ft_store_install(&store, &model, number, image, bytes));
  if (memcmp(before, model.adapter, FT_ADAPTER_BYTES) != 0) fail(what);
  if (reset() != FT_FLASH_OK || ft_store_selected(&store) != 1 ||
      memcmp(before, model.adapter, FT_ADAPTER_BYTES) != 0)
    fail(what);
}

static void refusals(void) {
  uint32_t bytes = read_file("other.img", image, sizeof image);
  refuse("other base", 1, bytes);
  bytes = read_file("a.img", image, sizeof image);
  refuse("other number", 1, bytes);
  bytes = read_file("old.img", image, sizeof image);
  refuse("older", 1, bytes);
  bytes = read_file("forged.img", image, sizeof image);
  refuse("other key", 1, bytes);
  bytes = read_file("b.img", image, sizeof image);
  refuse("too short", 1, bytes - 1);
  image[bytes - 1] ^= 1;
  refuse("flipped bit", 1, bytes);
  image[bytes - 1] ^= 1;
  image[100] ^= 1;
  refuse("flipped bit in the header", 1, bytes);
  say("no such number", install(2, "b.img"));
}

#if STEPS > 0
static ft_model straight;

static void train(ft_model *m, int from, int to) {
  int step;
  for (step = from; step < to; ++step) {
    memcpy(ft_train_input(m), inputs[step % SAMPLES], INPUT_BYTES);
    memcpy(ft_train_target(m), targets[step % SAMPLES], TARGET_BYTES);
    if (ft_train_step(m) != FT_OK) fail("the loss is not finite");
  }
}

static void resume(void) {
  say("no state", ft_store_load(&store, &model));
  ft_init(&straight);
  (void)ft_swap_adapter(&straight, model.adapter);
  ft_start_training(&straight);
  train(&straight, 0, 2 * STEPS);

  ft_start_training(&model);
  train(&model, 0, STEPS);
  ft_mark_begin("save");
  const ft_flash_status saved = ft_store_save(&store, &model);
  ft_mark_end();
  say("save", saved);
  say("reset", reset());
  ft_mark_begin("load");
  const ft_flash_status loaded = ft_store_load(&store, &model);
  ft_mark_end();
  say("load", loaded);
  train(&model, STEPS, 2 * STEPS);
  if (memcmp(model.persistent, straight.persistent, FT_PERSISTENT_BYTES) != 0)
    fail("not what training without a reset comes to");
  if (memcmp(model.persistent, model.adapter, FT_ADAPTER_BYTES) == 0)
    fail("nothing was learned");
  if (write_file("trained.bin", model.persistent, FT_ADAPTER_BYTES) != 0)
    fail("trained.bin");
  say("newer version", install(1, "b.img"));
  say("its state", ft_store_load(&store, &model));
}
#endif

int main(void) {
  say("blank", reset());
  answer("base.bin");
  say("nothing to swap to", ft_store_swap(&store, &model, 1));
  ft_mark_begin("install");
  const ft_flash_status installed = install(0, "a.img");
  ft_mark_end();
  say("install", installed);
  answer("a.bin");
  say("another", install(1, "b.img"));
  answer("still_a.bin");
  ft_mark_begin("swap");
  const ft_flash_status swapped = ft_store_swap(&store, &model, 1);
  ft_mark_end();
  say("swap", swapped);
  answer("b.bin");
  ft_mark_begin("open");
  const ft_flash_status opened = reset();
  ft_mark_end();
  say("reset", opened);
  answer("still_b.bin");
  refusals();
#if STEPS > 0
  resume();
#endif
  return 0;
}
