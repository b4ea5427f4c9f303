/* Words for a fault of a Cortex-M. */
#include "boards/board_private.h"

extern char __ft_stack_limit[], __ft_stack_top[];

/* Fault status and address; Armv6-M has none of them, its board here does. */
#define FT_CFSR (*(volatile uint32_t*)0xe000ed28u)
#define FT_BFAR (*(volatile uint32_t*)0xe000ed38u)

void ft_arm_fault(const uint32_t* frame, uint32_t exception);
void ft_arm_fault(const uint32_t* frame, uint32_t exception) {
  static const char* const kNames[] = {"NMI", "HardFault", "MemManage fault",
                                       "BusFault", "UsageFault"};
  const uintptr_t at = (uintptr_t)frame;
  const int readable =
      at >= (uintptr_t)__ft_stack_limit && at + 32 <= (uintptr_t)__ft_stack_top;
  ft_board_fault(exception >= 2 && exception <= 6 ? kNames[exception - 2]
                                                  : "unexpected exception",
                 at, readable ? frame[6] : 0, FT_CFSR, FT_BFAR);
}
