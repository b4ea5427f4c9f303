/* Adapters in flash on a board: a signed device image (a.img) is received,
 * checked and run from a region of RAM that stands for flash; then what must be
 * refused, a swap, and a training state. Each answer is one line. */
#include <string.h>

#include "boards/board.h"
#include "flash/ft_ed25519.h"
#include "flash/ft_flash.h"
#include "ram_flash.h"

enum { kSlot = 8 * kPage, kStateBytes = 600 };
enum { kRegion = 2 * kPage + 4 * kSlot };

static uint8_t region[kRegion] __attribute__((aligned(16)));
static uint8_t image[kSlot];
static uint8_t key[FT_IMAGE_KEY_BYTES];
static uint8_t state[kStateBytes];

static void say(const char *what, ft_flash_status status) {
  ft_board_write(what);
  ft_board_write(": ");
  ft_board_write(ft_flash_status_text(status));
  ft_board_write("\n");
}

static ft_flash_status install(ft_flash *store, uint32_t bytes) {
  ft_flash_status status = ft_flash_begin(store, bytes);
  for (uint32_t at = 0; at < bytes && status == FT_FLASH_OK; at += 100)
    status =
        ft_flash_write(store, image + at, bytes - at < 100 ? bytes - at : 100);
  return status == FT_FLASH_OK ? ft_flash_end(store) : status;
}

static uint32_t read_file(const char *path, void *to, uint32_t capacity) {
  const int32_t count = ft_board_read_file(path, 0, to, capacity);
  if (count < 0) ft_board_fail(path);
  return (uint32_t)count;
}

/* What generated code has as constants comes from the image itself here. */
static ft_flash_config config_of(const ft_image *header) {
  ft_flash_config config = {
      .driver = {.context = region,
                 .map = ram_map,
                 .erase_page = ram_erase_page,
                 .program = ram_program},
      .page_bytes = kPage,
      .program_bytes = kUnit,
      .slot_bytes = kSlot,
      .state_slot_bytes = kSlot,
      .state_slots = 2,
      .adapter_bytes = header->payload_bytes,
      .state_bytes = kStateBytes,
      .public_key = key,
      .verify = ft_ed25519_verify,
  };
  memcpy(config.base_hash, header->base_hash, sizeof config.base_hash);
  memcpy(config.plan_hash, header->plan_hash, sizeof config.plan_hash);
  return config;
}

static void refuse(ft_flash *store, uint32_t bytes) {
  image[bytes - 1] ^= 1;
  say("flipped bit", install(store, bytes));
  image[bytes - 1] ^= 1;
  key[0] ^= 1;
  say("other key", install(store, bytes));
  key[0] ^= 1;
  say("too short", install(store, bytes - 1));
  const uint8_t *adapter = ft_flash_adapter(store);
  if (adapter == NULL || memcmp(adapter, image + 128, bytes - 128) != 0)
    ft_board_fail("the adapter is not what it was");
}

static void resume(ft_flash *store) {
  const uint8_t *found;
  const ft_flash_part part = {state, kStateBytes};
  say("no state", ft_flash_load_state(store, &found));
  for (uint32_t i = 0; i < kStateBytes; ++i) state[i] = (uint8_t)(i * 7);
  ft_mark_begin("save_state");
  const ft_flash_status saved = ft_flash_save_state(store, &part, 1);
  ft_mark_end();
  say("save", saved);
  say("resume", ft_flash_load_state(store, &found));
  if (found == NULL || memcmp(found, state, kStateBytes) != 0)
    ft_board_fail("the state is not what it was");
}

int main(void) {
  ft_image header;
  ft_flash store;
  const uint32_t bytes = read_file("a.img", image, sizeof image);
  (void)read_file("a.pub", key, sizeof key);
  say("header", ft_image_decode(image, &header));
  const ft_flash_config config = config_of(&header);
  say("blank", ft_flash_open(&store, &config));
  ft_mark_begin("install");
  const ft_flash_status installed = install(&store, bytes);
  ft_mark_end();
  say("install", installed);
  ft_mark_begin("open");
  const ft_flash_status opened = ft_flash_open(&store, &config);
  ft_mark_end();
  say("open", opened);
  refuse(&store, bytes);
  say("second", install(&store, bytes));
  say("reopen", ft_flash_open(&store, &config));
  if (ft_flash_other_adapter(&store) == NULL)
    ft_board_fail("the reserve is not intact");
  ft_mark_begin("swap");
  const ft_flash_status swapped = ft_flash_swap(&store);
  ft_mark_end();
  say("swap", swapped);
  ft_mark_begin("verify");
  const int valid = ft_ed25519_verify(image + FT_IMAGE_SIGNATURE_OFFSET, key,
                                      image + FT_IMAGE_SIGNED_OFFSET,
                                      bytes - FT_IMAGE_SIGNED_OFFSET);
  ft_mark_end();
  if (!valid) ft_board_fail("the signature does not match");
  resume(&store);
  return 0;
}
