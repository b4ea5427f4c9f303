/* An emulated board, as programs that run on it see it.
 *
 * Start-up (arm_start.S, riscv_start.S) enters main() with data, bss, floating
 * point and a painted stack in place. Text, files and the exit go through
 * semihosting to the host; no heap, no libc beyond string.h, no interrupts.
 * Not for firmware of a real board: there, bring your own start-up. */
#ifndef FT_RUNTIME_MCU_BOARD_H_
#define FT_RUNTIME_MCU_BOARD_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void ft_board_write(const char* text);
void ft_board_write_u32(uint32_t value); /* decimal */
void ft_board_write_hex(uint32_t value); /* 0x and eight digits */

/* At most `capacity` bytes from `offset` on; how many were read, or -1 if there
 * is no such file on the host. */
int32_t ft_board_read_file(const char* path, uint32_t offset, void* buffer,
                           uint32_t capacity);
/* 0, or -1 if the host refuses. */
int ft_board_write_file(const char* path, const void* data, uint32_t bytes);

/* Ends the emulation; status 0 .. 255. main() may also just return. */
void ft_board_exit(int status) __attribute__((noreturn));
/* Writes "failed: <sentence>" and exits with FT_BOARD_FAILED. */
void ft_board_fail(const char* sentence) __attribute__((noreturn));
enum { FT_BOARD_FAILED = 70, FT_BOARD_FAULT = 71 };

/* Instructions and stack bytes between the two calls, which are not counted
 * themselves, are reported under `name`. Sections do not nest. Up to 10^9
 * instructions. */
void ft_mark_begin(const char* name);
void ft_mark_end(void);

#ifdef __cplusplus
}
#endif
#endif /* FT_RUNTIME_MCU_BOARD_H_ */
