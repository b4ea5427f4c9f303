/* RISC-V, machine mode: reset, traps, marks. What arm_start.S is to Cortex-M.
 *
 * "Flash" is memory here too: physical memory protection keeps it from being
 * written, and so catches a stack that overflows into it. */
#if __riscv_xlen == 64
#define LOAD ld
#define STORE sd
#define AS_U32(reg) sext.w reg, reg /* as the ABI passes it */
#else
#define LOAD lw
#define STORE sw
#define AS_U32(reg)
#endif
  .option arch, +zicsr
  .equ PAINT, 0x25c3a5c3

  .macro FUNCTION name
  .section .text.\name, "ax"
  .global \name
  .type \name, @function
  .balign 4
\name:
  .endm

  .section .start, "ax"
  .global reset
reset:
  la t0, fault
  csrw mtvec, t0
  la t0, __ft_flash_end
  srli t0, t0, 2
  csrw pmpaddr0, t0
  li t0, 0x8d  /* locked, from 0 up to there, read and execute */
  csrw pmpcfg0, t0
#if defined(__riscv_flen)
  li t0, 0x6000  /* mstatus.FS */
  csrs mstatus, t0
  csrw fcsr, zero
#endif
  csrw mcountinhibit, zero
  la sp, __ft_stack_top
  call ft_board_start
1:
  j 1b

FUNCTION fault
  mv a1, sp
  la sp, __ft_stack_top
  la a0, trap_name
  csrr a2, mepc
  csrr a3, mcause
  csrr a4, mtval
  j ft_board_fault

  .section .rodata
trap_name:
  .asciz "trap"

/* a0 = the first address from the limit on that does not hold the paint. */
  .macro SCAN
  la a0, __ft_stack_limit
  li a1, PAINT
1:
  lw a2, 0(a0)
  bne a2, a1, 2f
  addi a0, a0, 4
  j 1b
2:
  .endm

FUNCTION ft_stack_scan
  SCAN
  ret

FUNCTION ft_stack_paint
  la a0, __ft_stack_limit
  li a1, PAINT
1:
  bgeu a0, sp, 2f
  sw a1, 0(a0)
  addi a0, a0, 4
  j 1b
2:
  ret

FUNCTION ft_timer
  csrr a0, minstret
  AS_U32(a0)
  ret

FUNCTION ft_mark_begin
  la a1, ft_mark_name
  STORE a0, 0(a1)
  mv t2, ra
  SCAN
  la a1, ft_stack_lowest
  LOAD a2, 0(a1)
  bgeu a0, a2, 3f
  STORE a0, 0(a1)
3:
  call ft_stack_paint
  la a1, ft_mark_stack
  STORE sp, 0(a1)
  la a1, ft_mark_ticks
  csrr a0, minstret
  sw a0, 0(a1)
  jr t2

FUNCTION ft_mark_end
  csrr t0, minstret
  SCAN
  mv a1, a0
  mv a0, t0
  AS_U32(a0)
  tail ft_mark_report

/* Three instructions that a debugger knows, on one page. */
FUNCTION ft_semihosting
  .option push
  .option norvc
  .balign 16
  slli zero, zero, 0x1f
  ebreak
  srai zero, zero, 7
  .option pop
  ret
