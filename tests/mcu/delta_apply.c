/* A delta on a board: old.bin and x.delta give the bytes of new.bin, in pieces
 * of several sizes, from one region of memory to another; then what must be
 * refused. Each answer is one line. */
#include <string.h>

#include "boards/board.h"
#include "delta/ft_delta.h"

enum { kMost = 48 * 1024 };

static uint8_t old_file[kMost], new_file[kMost], delta_file[kMost];
static uint8_t result[kMost];
static uint32_t old_bytes, new_bytes, delta_bytes, written;
static ft_delta delta;

static int read_old(void *context, uint32_t offset, uint8_t *bytes,
                    uint32_t count) {
  (void)context;
  memcpy(bytes, old_file + offset, count);
  return 0;
}

static int write_new(void *context, const uint8_t *bytes, uint32_t count) {
  (void)context;
  if (count > kMost - written) return 1;
  memcpy(result + written, bytes, count);
  written += count;
  return 0;
}

static uint32_t read_file(const char *path, void *to) {
  const int32_t count = ft_board_read_file(path, 0, to, kMost);
  if (count < 0) ft_board_fail(path);
  return (uint32_t)count;
}

static ft_delta_status apply(uint32_t bytes, uint32_t piece) {
  const ft_delta_io io = {
      .read = read_old, .write = write_new, .old_bytes = old_bytes};
  written = 0;
  ft_delta_begin(&delta, &io);
  for (uint32_t at = 0; at < bytes; at += piece)
    (void)ft_delta_push(&delta, delta_file + at,
                        bytes - at < piece ? bytes - at : piece);
  return ft_delta_end(&delta);
}

static void say(const char *what, ft_delta_status status) {
  ft_board_write(what);
  ft_board_write(": ");
  ft_board_write(ft_delta_status_text(status));
  ft_board_write("\n");
}

static void check_result(const char *what) {
  if (written != new_bytes || memcmp(result, new_file, new_bytes) != 0)
    ft_board_fail(what);
}

int main(void) {
  old_bytes = read_file("old.bin", old_file);
  new_bytes = read_file("new.bin", new_file);
  delta_bytes = read_file("x.delta", delta_file);
  ft_mark_begin("apply");
  const ft_delta_status status = apply(delta_bytes, 64);
  ft_mark_end();
  say("apply", status);
  check_result("the result is not what the host has");
  say("byte by byte", apply(delta_bytes, 1));
  check_result("byte by byte gives something else");
  say("truncated", apply(delta_bytes - 1, 64));
  delta_file[delta_bytes] = 0;
  say("padded", apply(delta_bytes + 1, 64));
  delta_file[200] ^= 1;
  say("flipped bit", apply(delta_bytes, 64));
  old_file[old_bytes - 1] ^= 1;
  say("other precursor", apply(delta_bytes, 64));
  if (written != 0) ft_board_fail("written for another precursor");
  return 0;
}
