#include <string.h>

#include "kernels/strided/strided.h"

/* The compiler turns a memcpy of constant size into one load and store. */
#define FT_COPY_ROW(bytes)                                  \
  for (i = 0; i < n; ++i, to += to_step, from += from_step) \
  memcpy(to, from, bytes)

static void copy_row(char* to, ptrdiff_t to_step, const char* from,
                     ptrdiff_t from_step, int32_t n, int32_t elem_bytes) {
  int32_t i;
  if (to_step == elem_bytes && from_step == elem_bytes) {
    memcpy(to, from, (size_t)n * (size_t)elem_bytes);
    return;
  }
  switch (elem_bytes) {
    case 1: FT_COPY_ROW(1); break;
    case 2: FT_COPY_ROW(2); break;
    case 4: FT_COPY_ROW(4); break;
    default: FT_COPY_ROW(8); break;
  }
}

/* Moves to the next row of the dense side and returns its offset on the
 * strided side; `at` holds the position along all dims but the last. */
static ptrdiff_t next_row(const ft_strided_params* p, int32_t* at,
                          ptrdiff_t offset) {
  int d;
  for (d = FT_STRIDED_RANK - 2; d >= 0; --d) {
    offset += p->strides[d];
    if (++at[d] < p->dims[d]) return offset;
    offset -= (ptrdiff_t)p->dims[d] * p->strides[d];
    at[d] = 0;
  }
  return offset;
}

static int32_t num_rows(const ft_strided_params* p) {
  int32_t rows = 1;
  int d;
  for (d = 0; d < FT_STRIDED_RANK - 1; ++d) rows *= p->dims[d];
  return rows;
}

void ft_strided_read_bytes_c99(const void* params, const ft_args* args) {
  const ft_strided_params* p = (const ft_strided_params*)params;
  const char* in = (const char*)args->in[0];
  char* out = (char*)args->out[0];
  const int32_t n = p->dims[FT_STRIDED_RANK - 1], rows = num_rows(p);
  const ptrdiff_t step = p->strides[FT_STRIDED_RANK - 1];
  const ptrdiff_t bytes = p->elem_bytes;
  int32_t at[FT_STRIDED_RANK] = {0}, row;
  ptrdiff_t offset = p->offset;
  for (row = 0; row < rows; ++row) {
    copy_row(out, bytes, in + offset * bytes, step * bytes, n, p->elem_bytes);
    out += n * bytes;
    offset = next_row(p, at, offset);
  }
}

void ft_strided_write_bytes_c99(const void* params, const ft_args* args) {
  const ft_strided_params* p = (const ft_strided_params*)params;
  const char* in = (const char*)args->in[0];
  char* out = (char*)args->out[0];
  const int32_t n = p->dims[FT_STRIDED_RANK - 1], rows = num_rows(p);
  const ptrdiff_t step = p->strides[FT_STRIDED_RANK - 1];
  const ptrdiff_t bytes = p->elem_bytes;
  int32_t at[FT_STRIDED_RANK] = {0}, row;
  ptrdiff_t offset = p->offset;
  copy_row(out, bytes, (const char*)args->aux[0], 0, p->count, p->elem_bytes);
  for (row = 0; row < rows; ++row) {
    copy_row(out + offset * bytes, step * bytes, in, bytes, n, p->elem_bytes);
    in += n * bytes;
    offset = next_row(p, at, offset);
  }
}

void ft_table_read_bytes_c99(const void* params, const ft_args* args) {
  const ft_strided_params* p = (const ft_strided_params*)params;
  const int32_t* tables = (const int32_t*)args->aux[0];
  const int32_t* table[FT_STRIDED_RANK];
  const char* in = (const char*)args->in[0];
  char* out = (char*)args->out[0];
  const int32_t n = p->dims[FT_STRIDED_RANK - 1], rows = num_rows(p);
  const ptrdiff_t bytes = p->elem_bytes;
  int32_t at[FT_STRIDED_RANK] = {0}, row, i;
  int d;
  for (d = 0; d < FT_STRIDED_RANK; tables += p->dims[d++]) table[d] = tables;
  for (row = 0; row < rows; ++row) {
    ptrdiff_t base = 0;
    for (d = 0; d < FT_STRIDED_RANK - 1; ++d) base += table[d][at[d]];
    for (i = 0; i < n; ++i, out += bytes)
      memcpy(out, in + (base + table[FT_STRIDED_RANK - 1][i]) * bytes,
             (size_t)bytes);
    for (d = FT_STRIDED_RANK - 2; d >= 0 && ++at[d] == p->dims[d]; --d)
      at[d] = 0;
  }
}
