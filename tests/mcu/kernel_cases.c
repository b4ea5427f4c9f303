/* Runs every case on the board: outputs, updated inputs and untouched inputs
 * must be the host's to the bit, and nothing beside a buffer may change. Also
 * with output 0 in the place of an input, rolling over one, and in parts. */
#include "mcu/kernel_cases.h"

#include <string.h>

#include "boards/board.h"

enum { MAX_BUFFERS = 24, GUARD = 16, GUARD_BYTE = 0xa5, OLD_BYTE = 0x7b };

static uint8_t arena[FT_CASE_ARENA] __attribute__((aligned(16)));
static uint32_t used;

/* 16-byte aligned, between two guards. */
static uint8_t* place(const ft_case_buffer* b, int with_data) {
  const uint32_t rounded = (b->bytes + GUARD + 15) & ~15u;
  uint8_t* at = arena + used + GUARD;
  if (!b->data && with_data) return NULL;
  if (used + GUARD + rounded > sizeof arena)
    ft_board_fail("a case is larger than FT_CASE_ARENA");
  memset(arena + used, GUARD_BYTE, GUARD + rounded);
  if (with_data)
    memcpy(at, b->data, b->bytes);
  else
    memset(at, OLD_BYTE, b->bytes);
  used += GUARD + rounded;
  return at;
}

enum { APART, IN_PLACE, ROLLING, IN_PARTS };

static int differs(const ft_case* c, const char* what, uint32_t i,
                   const uint8_t* got, const ft_case_buffer* want, int how) {
  const uint8_t* expected = (const uint8_t*)want->data;
  uint32_t k, g;
  if (!got || !expected) return 0;
  for (k = 0; k < want->bytes && got[k] == expected[k]; ++k) {
  }
  /* What is left of an input may lie behind a rolling output. */
  for (g = 0; g < GUARD && k == want->bytes; ++g)
    if (how != ROLLING && got[k + g] != GUARD_BYTE) break;
  if (k == want->bytes && g == GUARD) return 0;
  ft_board_write(c->name);
  ft_board_write(k < want->bytes ? ": wrong " : ": overruns ");
  ft_board_write(what);
  ft_board_write_u32(i);
  ft_board_write(" at byte ");
  ft_board_write_u32(k);
  ft_board_write("\n");
  return 1;
}

/* Output 0 and the input that it may overlap, as close as they may be. */
static void place_rolling(const ft_case* c, void** in, void** out) {
  const int32_t distance = (c->distance + 7) & ~7;
  const uint32_t in_at = distance > 0 ? (uint32_t)distance : 0;
  const uint32_t out_at = distance < 0 ? (uint32_t)-distance : 0;
  const ft_case_buffer* from = &c->in[c->overlap_input];
  ft_case_buffer both = {NULL, in_at + from->bytes};
  uint8_t* at;
  if (both.bytes < out_at + c->out[0].bytes)
    both.bytes = out_at + c->out[0].bytes;
  at = place(&both, 0);
  memcpy(at + in_at, from->data, from->bytes);
  in[c->overlap_input] = at + in_at;
  out[0] = at + out_at;
}

/* The call in parts, with other bytes in its scratch before each. */
static void run_parts(const ft_case* c, ft_args* call) {
  ft_part part;
  call->part = &part;
  for (part.round = 0; part.round < c->rounds; ++part.round) {
    for (part.first = 0; part.first < c->units; part.first = part.end) {
      const int32_t left = c->units - part.first;
      part.end = part.first + (left < c->part_units ? left : c->part_units);
      part.is_last = part.end == c->units && part.round + 1 == c->rounds;
      memset(call->scratch, OLD_BYTE, c->scratch_bytes);
      c->run(c->params, call);
    }
  }
}

static int fails(const ft_case* c, int how) {
  const int32_t over = how == IN_PLACE  ? c->inplace_input
                       : how == ROLLING ? c->overlap_input
                                        : -1;
  void *in[MAX_BUFFERS] = {0}, *out[MAX_BUFFERS] = {0};
  const void* aux[MAX_BUFFERS] = {0};
  ft_case_buffer scratch = {NULL, 0};
  const ft_args args = {in, aux, out, NULL, NULL};
  ft_args call = args;
  int failed = 0;
  uint32_t i;
  if (c->num_in > MAX_BUFFERS || c->num_aux > MAX_BUFFERS ||
      c->num_out > MAX_BUFFERS)
    ft_board_fail("a case has more than MAX_BUFFERS buffers");
  used = 0;
  scratch.bytes = c->scratch_bytes;
  for (i = 0; i < c->num_in; ++i)
    if (how != ROLLING || (int32_t)i != over) in[i] = place(&c->in[i], 1);
  for (i = 0; i < c->num_aux; ++i) aux[i] = c->aux[i].data;
  for (i = 0; i < c->num_out; ++i)
    if (i > 0 || over < 0) out[i] = place(&c->out[i], 0);
  if (how == IN_PLACE) out[0] = in[over];
  if (how == ROLLING) place_rolling(c, in, out);
  call.scratch = place(&scratch, 0);
  if (how == IN_PARTS) {
    run_parts(c, &call);
  } else {
    ft_mark_begin(c->name);
    c->run(c->params, &call);
    ft_mark_end();
  }
  for (i = 0; i < c->num_out; ++i)
    failed |= differs(c, "output ", i, (uint8_t*)out[i], &c->out[i], how);
  for (i = 0; i < c->num_in; ++i)
    if ((int32_t)i != over)
      failed |= differs(c, "input ", i, (uint8_t*)in[i], &c->in_after[i], 0);
  scratch.data = call.scratch; /* only its guard is looked at */
  return failed |
         differs(c, "scratch ", 0, (uint8_t*)call.scratch, &scratch, 0);
}

int main(void) {
  uint32_t i, wrong = 0;
  for (i = 0; i < ft_num_cases; ++i) {
    const ft_case* c = &ft_cases[i];
    const int32_t k = c->inplace_input;
    int failed = fails(c, APART);
    if (k >= 0 && c->in[k].data && c->in[k].bytes == c->out[0].bytes)
      failed |= fails(c, IN_PLACE);
    if (c->overlap_input >= 0) failed |= fails(c, ROLLING);
    if (c->units > c->part_units) failed |= fails(c, IN_PARTS);
    wrong += (uint32_t)failed;
  }
  ft_board_write_u32(ft_num_cases - wrong);
  ft_board_write(" of ");
  ft_board_write_u32(ft_num_cases);
  ft_board_write(" cases right\n");
  return wrong ? 1 : 0;
}
