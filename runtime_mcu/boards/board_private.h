/* Between the parts of start-up; not for programs. */
#ifndef FT_RUNTIME_MCU_BOARD_PRIVATE_H_
#define FT_RUNTIME_MCU_BOARD_PRIVATE_H_

#include <stdint.h>

enum {
  FT_FAULT_FRAME_BYTES = 128 /* an exception pushes no more (Arm) */
};

/* arm_start.S, riscv_start.S. None of them uses the stack. */
uint32_t ft_timer(void);
void ft_stack_paint(void);     /* from the limit to the caller's sp */
uintptr_t ft_stack_scan(void); /* lowest address that was written since */
uintptr_t ft_semihosting(uintptr_t operation, const void* arguments);

/* board.c, for the assembly. */
void ft_board_start(void);
void ft_mark_report(uint32_t ticks, uintptr_t lowest);
void ft_board_fault(const char* kind, uintptr_t stack, uintptr_t pc,
                    uint32_t cause, uintptr_t address)
    __attribute__((noreturn));

void ft_semihosting_exit(int status) __attribute__((noreturn));

#endif /* FT_RUNTIME_MCU_BOARD_PRIVATE_H_ */
