/* Arm's semihosting (version 2.0), which RISC-V shares: text, files, exit. */
#include <string.h>

#include "boards/board.h"
#include "boards/board_private.h"

enum {
  SYS_OPEN = 0x01,
  SYS_CLOSE = 0x02,
  SYS_WRITE0 = 0x04,
  SYS_WRITE = 0x05,
  SYS_READ = 0x06,
  SYS_SEEK = 0x0a,
  SYS_EXIT_EXTENDED = 0x20,
  STOPPED_APPLICATION_EXIT = 0x20026,
  MODE_RB = 1,
  MODE_WB = 5
};
static const uintptr_t kNoFile = (uintptr_t)-1;

void ft_board_write(const char* text) { ft_semihosting(SYS_WRITE0, text); }

void ft_board_write_u32(uint32_t value) {
  char digits[11];
  char* at = digits + sizeof digits - 1;
  *at = 0;
  do {
    *--at = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  ft_board_write(at);
}

void ft_board_write_hex(uint32_t value) {
  char text[] = "0x00000000";
  int i;
  for (i = 9; i > 1; --i, value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  ft_board_write(text);
}

static uintptr_t open_file(const char* path, uintptr_t mode) {
  const uintptr_t arguments[3] = {(uintptr_t)path, mode, strlen(path)};
  return ft_semihosting(SYS_OPEN, arguments);
}

static void close_file(uintptr_t file) { ft_semihosting(SYS_CLOSE, &file); }

int32_t ft_board_read_file(const char* path, uint32_t offset, void* buffer,
                           uint32_t capacity) {
  const uintptr_t file = open_file(path, MODE_RB);
  const uintptr_t seek[2] = {file, offset};
  const uintptr_t read[3] = {file, (uintptr_t)buffer, capacity};
  uintptr_t left;
  if (file == kNoFile) return -1;
  left = capacity;
  if (ft_semihosting(SYS_SEEK, seek) == 0)
    left = ft_semihosting(SYS_READ, read);
  close_file(file);
  return left > capacity ? -1 : (int32_t)(capacity - left);
}

int ft_board_write_file(const char* path, const void* data, uint32_t bytes) {
  const uintptr_t file = open_file(path, MODE_WB);
  const uintptr_t write[3] = {file, (uintptr_t)data, bytes};
  uintptr_t left;
  if (file == kNoFile) return -1;
  left = ft_semihosting(SYS_WRITE, write);
  close_file(file);
  return left == 0 ? 0 : -1;
}

void ft_semihosting_exit(int status) {
  const uintptr_t arguments[2] = {STOPPED_APPLICATION_EXIT, (uintptr_t)status};
  for (;;) ft_semihosting(SYS_EXIT_EXTENDED, arguments);
}
