/* One kernel call with what it must leave, as device_cases.cc prints it. */
#ifndef FT_TESTS_MCU_KERNEL_CASES_H_
#define FT_TESTS_MCU_KERNEL_CASES_H_

#include "kernels/kernel.h"

typedef struct {
  const void* data; /* NULL: absent */
  uint32_t bytes;
} ft_case_buffer;

typedef struct {
  const char* name;
  ft_kernel_fn run;
  const void* params;
  uint32_t num_in, num_aux, num_out;
  const ft_case_buffer* in; /* before */
  const ft_case_buffer* in_after;
  const ft_case_buffer* aux;
  const ft_case_buffer* out;
  uint32_t scratch_bytes;
  int32_t inplace_input; /* -1: none */
  /* An input that output 0 may overlap, and how far behind it; -1: none. */
  int32_t overlap_input, distance;
  int32_t units, part_units, rounds; /* of a call in parts; units 1: none */
} ft_case;

extern const ft_case ft_cases[];
extern const uint32_t ft_num_cases;

#endif /* FT_TESTS_MCU_KERNEL_CASES_H_ */
