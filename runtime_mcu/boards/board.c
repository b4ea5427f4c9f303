/* What start-up does in C: memory, timer, main(), reports. The lines that begin
 * with "@" are for tools/mcu, which takes them out of the output. */
#include "boards/board.h"

#include <string.h>

#include "boards/board_private.h"

extern char __ft_data_load[], __ft_data_begin[], __ft_data_end[];
extern char __ft_bss_begin[], __ft_bss_end[];
extern char __ft_stack_limit[], __ft_stack_top[];

int main(void);

/* Written by start-up: section under measurement, least stack address so far.
 */
const char* ft_mark_name;
uint32_t ft_mark_ticks;
uintptr_t ft_mark_stack;
uintptr_t ft_stack_lowest;

static uint32_t start_ticks;

/* A 32-bit counter that runs with the instructions (tools/mcu knows the ratio).
 * RISC-V counts instructions itself. */
static void start_timer(void) {
#if defined(FT_TIMER_CMSDK)
  volatile uint32_t* timer = (volatile uint32_t*)FT_TIMER_CMSDK;
  timer[2] = 0xffffffffu; /* reload */
  timer[1] = 0xffffffffu; /* value, counts down */
  timer[0] = 1;
#elif defined(FT_TIMER_SSE_CONTROL)
  *(volatile uint32_t*)FT_TIMER_SSE_CONTROL = 1;
#endif
}

static uint32_t ticks_between(uint32_t begin, uint32_t end) {
#if defined(FT_TIMER_CMSDK)
  return begin - end;
#else
  return end - begin;
#endif
}

static void report(const char* name, uint32_t ticks, uint32_t stack_bytes) {
  ft_board_write("@");
  ft_board_write(name);
  ft_board_write(" ");
  ft_board_write_u32(ticks);
  ft_board_write(" ");
  ft_board_write_u32(stack_bytes);
  ft_board_write("\n");
}

void ft_mark_report(uint32_t ticks, uintptr_t lowest) {
  /* Words of the caller's own frame may never have been written. */
  if (lowest > ft_mark_stack) lowest = ft_mark_stack;
  if (lowest < ft_stack_lowest) ft_stack_lowest = lowest;
  report(ft_mark_name, ticks_between(ft_mark_ticks, ticks),
         (uint32_t)(ft_mark_stack - lowest));
  ft_stack_paint(); /* what this report used is not the program's */
}

void ft_board_start(void) {
  memcpy(__ft_data_begin, __ft_data_load,
         (size_t)(__ft_data_end - __ft_data_begin));
  memset(__ft_bss_begin, 0, (size_t)(__ft_bss_end - __ft_bss_begin));
  start_timer();
  ft_stack_paint();
  ft_stack_lowest = (uintptr_t)__ft_stack_top;
  ft_mark_begin("overhead");
  ft_mark_end();
  start_ticks = ft_timer();
  ft_board_exit(main());
}

void ft_board_exit(int status) {
  const uint32_t ticks = ticks_between(start_ticks, ft_timer());
  const uintptr_t lowest = ft_stack_scan();
  if (lowest < ft_stack_lowest) ft_stack_lowest = lowest;
  report("total", ticks,
         (uint32_t)((uintptr_t)__ft_stack_top - ft_stack_lowest));
  ft_semihosting_exit(status);
}

void ft_board_fail(const char* sentence) {
  ft_board_write("failed: ");
  ft_board_write(sentence);
  ft_board_write("\n");
  ft_semihosting_exit(FT_BOARD_FAILED);
}

/* What assert() of newlib and picolibc calls. */
void __assert_func(const char* file, int line, const char* function,
                   const char* expression);
void __assert_func(const char* file, int line, const char* function,
                   const char* expression) {
  ft_board_write("failed: assert(");
  ft_board_write(expression);
  ft_board_write(") in ");
  ft_board_write(function ? function : "?");
  ft_board_write(", ");
  ft_board_write(file);
  ft_board_write(":");
  ft_board_write_u32((uint32_t)line);
  ft_board_write("\n");
  ft_semihosting_exit(FT_BOARD_FAILED);
}

/* `kind` in words; `pc` 0 if it is not known. */
void ft_board_fault(const char* kind, uintptr_t stack, uintptr_t pc,
                    uint32_t cause, uintptr_t address) {
  ft_board_write("fault: ");
  if (stack < (uintptr_t)__ft_stack_limit + FT_FAULT_FRAME_BYTES) {
    ft_board_write("the stack of ");
    ft_board_write_u32((uint32_t)(__ft_stack_top - __ft_stack_limit));
    ft_board_write(" bytes overflowed; ");
  }
  ft_board_write(kind);
  ft_board_write(" at pc ");
  ft_board_write_hex((uint32_t)pc);
  ft_board_write(", cause ");
  ft_board_write_hex(cause);
  ft_board_write(", address ");
  ft_board_write_hex((uint32_t)address);
  ft_board_write("\n");
  ft_semihosting_exit(FT_BOARD_FAULT);
}
