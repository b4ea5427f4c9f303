/* Cortex-M: vector table, reset, faults, marks. Armv6-M instructions only, so
 * that one source serves all. Addresses of the timer come from the target.
 *
 * The stack lies at the bottom of RAM: what overflows it faults. */
  .syntax unified
  .thumb

#if defined(FT_TIMER_CMSDK)
  .equ TIMER, FT_TIMER_CMSDK + 4
#else
  .equ TIMER, FT_TIMER_SSE_STATUS
#endif
  .equ PAINT, 0xa5c3a5c3

  .section .start, "a"
  .word __ft_stack_top
  .word reset
  .rept 14
  .word fault
  .endr

  .macro FUNCTION name
  .section .text.\name, "ax"
  .global \name
  .type \name, %function
  .thumb_func
\name:
  .endm

FUNCTION reset
#if defined(__ARM_FP)
  ldr r0, =0xe000ed88  /* CPACR: full access to the FPU and MVE */
  ldr r1, [r0]
  ldr r2, =0x00f00000
  orrs r1, r2
  str r1, [r0]
  dsb
  isb
#endif
#if __ARM_ARCH >= 8
  ldr r0, =__ft_stack_limit
  msr msplim, r0
#else
  /* The MPS2 boards read 0 below RAM. MPU: 64 KB below the stack, no access. */
  ldr r0, =0xe000ed94
  ldr r1, =__ft_stack_limit - 0x10000
  str r1, [r0, #8]   /* RBAR */
  ldr r1, =0x1000001f
  str r1, [r0, #12]  /* RASR: 2^16 bytes, no access, no execution */
  movs r1, #5
  str r1, [r0]       /* on, with the default map elsewhere; off in faults */
  dsb
  isb
#endif
#if defined(FT_TRAP_UNALIGNED)
  ldr r0, =0xe000ed14  /* CCR.UNALIGN_TRP: as Armv6-M, which always traps */
  ldr r1, [r0]
  movs r2, #8
  orrs r1, r2
  str r1, [r0]
#endif
  ldr r0, =ft_board_start
  blx r0
  b .
  .ltorg

/* r0: where the exception pushed its frame, if it could. */
FUNCTION fault
  mrs r0, msp
  ldr r1, =__ft_stack_top
  msr msp, r1
  mrs r1, ipsr
  ldr r2, =ft_arm_fault
  bx r2
  .ltorg

/* r0 = the first address from the limit on that does not hold the paint; */
/* r1, r2 are used. */
  .macro SCAN
  ldr r0, =__ft_stack_limit
  ldr r1, =PAINT
1:
  ldr r2, [r0]
  cmp r2, r1
  bne 2f
  adds r0, #4
  b 1b
2:
  .endm

FUNCTION ft_stack_scan
  SCAN
  bx lr
  .ltorg

FUNCTION ft_stack_paint
  ldr r0, =__ft_stack_limit
  ldr r1, =PAINT
  mov r2, sp
1:
  cmp r0, r2
  bhs 2f
  stmia r0!, {r1}
  b 1b
2:
  bx lr
  .ltorg

FUNCTION ft_timer
  ldr r0, =TIMER
  ldr r0, [r0]
  bx lr
  .ltorg

FUNCTION ft_mark_begin
  ldr r1, =ft_mark_name
  str r0, [r1]
  mov r12, lr
  SCAN
  ldr r1, =ft_stack_lowest
  ldr r2, [r1]
  cmp r0, r2
  bhs 3f
  str r0, [r1]
3:
  bl ft_stack_paint
  mov r0, sp
  ldr r1, =ft_mark_stack
  str r0, [r1]
  ldr r1, =ft_mark_ticks
  ldr r0, =TIMER
  ldr r0, [r0]
  str r0, [r1]
  bx r12
  .ltorg

FUNCTION ft_mark_end
  ldr r3, =TIMER
  ldr r3, [r3]
  SCAN
  mov r1, r0
  mov r0, r3
  ldr r2, =ft_mark_report
  bx r2
  .ltorg

FUNCTION ft_semihosting
  bkpt 0xab
  bx lr
