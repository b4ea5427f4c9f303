/* What test_mcu_boards.py runs on every board; MODE picks one behaviour. */
#include <assert.h>
#include <string.h>

#include "boards/board.h"

enum { LOOP, FAULT, ASSERTION, FAIL, OVERFLOW, ENDLESS, FILES, EXIT, LARGE };

#if defined(__arm__)
/* 2 * rounds + 1 instructions. */
#define COUNTED_LOOP(rounds)                                         \
  __asm volatile("movs r0, #" #rounds "\n1: subs r0, #1\n bne 1b" :: \
                     : "r0", "cc")
/* Writes the last word of a frame of 64 bytes. */
__asm(
    ".text\n.thumb_func\nuse_64_bytes:\n sub sp, #64\n str r0, [sp]\n"
    " add sp, #64\n bx lr\n");
#else
#define COUNTED_LOOP(rounds)                                               \
  __asm volatile("li t0, " #rounds "\n1: addi t0, t0, -1\n bnez t0, 1b" :: \
                     : "t0")
__asm(
    ".text\nuse_64_bytes:\n addi sp, sp, -64\n sw zero, 0(sp)\n"
    " addi sp, sp, 64\n ret\n");
#endif
void use_64_bytes(int zero);

static int initialized = 41;
static int zeroed;
#if MODE == 8
static volatile char large[1 << 26];
#endif

static void measure(void) {
  ft_mark_begin("empty");
  ft_mark_end();
  ft_mark_begin("three");
  COUNTED_LOOP(1);
  ft_mark_end();
  ft_mark_begin("loop");
  COUNTED_LOOP(100);
  ft_mark_end();
  ft_mark_begin("frame");
  use_64_bytes(0);
  ft_mark_end();
}

/* The address is a multiple of 4 where nothing answers. */
static void read_nowhere(void) {
  *(volatile uint32_t*)(uintptr_t)0x1ffffff0u = 1;
}

static uint32_t recurse(volatile uint32_t* above) {
  volatile uint32_t here[64];
  here[0] = above[0] + 1;
  return here[0] == 0 ? 0 : recurse(here) + here[0];
}

static int copy_file(void) {
  char text[32];
  const int32_t read = ft_board_read_file("in.txt", 6, text, sizeof text);
  if (ft_board_read_file("absent.txt", 0, text, 1) != -1) return 1;
  if (read < 0) return 2;
  return ft_board_write_file("out.txt", text, (uint32_t)read);
}

int main(void) {
  volatile uint32_t first = 0;
  ft_board_write("hello, ");
  ft_board_write_u32(4294967295u);
  ft_board_write(" ");
  ft_board_write_hex(0x1fu);
  ft_board_write("\n");
  switch (MODE) {
    case LOOP: measure(); break;
    case FAULT: read_nowhere(); break;
    case ASSERTION: assert(initialized == 42); break;
    case FAIL: ft_board_fail("no weights in flash"); break;
    case OVERFLOW: return (int)recurse(&first);
    case ENDLESS:
      for (;;) __asm volatile("");
    case FILES: return copy_file();
    case EXIT: ft_board_exit(7); break;
#if MODE == 8
    case LARGE: return large[initialized];
#endif
  }
  return initialized + zeroed == 41 ? 0 : 1;
}
