#include "ft_delta.h"

#include <string.h>

#include "ft_bytes.h"
#include "ft_crc32.h"

/* A step decodes the head of a segment or one element; none takes more bytes of
 * the stream than this (a difference of 32 bits: 37 decisions of at most a byte
 * and 30 bits). */
enum { kStepBytes = 48 };

static void fail(ft_delta *d, ft_delta_status status) {
  if (d->status == FT_DELTA_OK) d->status = (uint8_t)status;
}

/* After the last byte come the zeros that the maker has not written. */
static uint32_t next_byte(ft_delta *d) {
  if (d->in_at < d->in_count) return d->in[d->in_at++];
  if (++d->past_end > 4) {
    d->past_end = 5;
    fail(d, FT_DELTA_TRUNCATED);
  }
  return 0;
}

FT_DELTA_APART static void take_byte(ft_delta *d) {
  d->code = d->code << 8 | next_byte(d);
}

/* Most decisions need no byte, and no call; none needs two, since no chance is
 * below 16 in 4096. */
static inline void normalize(ft_delta *d) {
  if (d->range >= 1u << 24) return;
  d->range <<= 8;
  take_byte(d);
}

/* The decoder of a range coder with carry (as in LZMA). */
static uint32_t read_bit(ft_delta_coder *coder, uint16_t *state, uint32_t bit) {
  ft_delta *d = (ft_delta *)(void *)coder;
  const uint32_t bound = (d->range >> 12) * ft_delta_chance(*state);
  bit = d->code >= bound;
  if (bit) {
    d->code -= bound;
    d->range -= bound;
  } else {
    d->range = bound;
  }
  ft_delta_learn(state, bit);
  normalize(d);
  return bit;
}

static uint32_t read_direct(ft_delta_coder *coder, uint32_t value,
                            uint32_t count) {
  ft_delta *d = (ft_delta *)(void *)coder;
  value = 0;
  for (; count > 0; --count) {
    d->range >>= 1;
    value <<= 1;
    if (d->code >= d->range) {
      d->code -= d->range;
      value |= 1;
    }
    normalize(d);
  }
  return value;
}

static void flush(ft_delta *d) {
  if (d->out_count == 0 || d->status != FT_DELTA_OK) return;
  d->crc32 = ft_crc32(d->crc32, d->out, d->out_count);
  if (d->io->write(d->io->context, d->out, d->out_count) != 0)
    fail(d, FT_DELTA_WRITE_FAILED);
  d->out_count = 0;
}

static void put(ft_delta *d, uint32_t bits, uint32_t count) {
  if (d->out_count + count > FT_DELTA_OUT_BYTES) flush(d);
  if (d->status != FT_DELTA_OK) return; /* of what was not there to read */
  for (uint32_t i = 0; i < count; ++i)
    d->out[d->out_count++] = (uint8_t)(bits >> 8 * i);
  d->unwritten -= count;
}

static uint32_t read_old(ft_delta *d, uint32_t offset, uint32_t count) {
  uint8_t bytes[4] = {0, 0, 0, 0};
  if (offset >= d->io->old_bytes) return 0;
  if (d->io->read(d->io->context, offset, bytes, count) != 0)
    fail(d, FT_DELTA_READ_FAILED);
  return ft_get_u32(bytes);
}

FT_DELTA_APART static void read_segment(ft_delta *d) {
  const ft_delta_segment none = {0};
  const ft_delta_segment *s = &d->of.model.segment;
  uint32_t each;
  ft_delta_code_segment(&d->of.model, &d->coder, &none);
  if (s->kind >= FT_DELTA_KINDS || s->count == 0 || s->row == 0) {
    fail(d, FT_DELTA_BAD_STREAM);
    return;
  }
  each = ft_delta_element_bytes(s->kind);
  d->text_at = s->old_offset;
  if (s->count > d->unwritten / each || s->old_offset > d->io->old_bytes ||
      (s->shift != 0 && !ft_delta_may_shift(s)) ||
      (s->has_old && s->kind > FT_DELTA_RAW &&
       s->count > (d->io->old_bytes - s->old_offset) / each))
    fail(d, FT_DELTA_BAD_STREAM);
}

static void put_text(ft_delta *d, const char *text) {
  for (; *text != 0; ++text) put(d, (uint8_t)*text, 1);
}

/* The precursor's, as text. */
FT_DELTA_APART static void put_digest(ft_delta *d, int with_key) {
  static const char kDigits[] = "0123456789abcdef";
  const uint32_t count = with_key ? FT_DELTA_PARENT_TEXT : FT_DELTA_DIGEST_TEXT;
  if (d->of.model.left < count) {
    fail(d, FT_DELTA_BAD_STREAM);
    return;
  }
  d->of.model.left -= count;
  if (with_key) put_text(d, FT_DELTA_PARENT_KEY);
  for (uint32_t i = 0; i < FT_DELTA_DIGEST_TEXT; ++i)
    put(d,
        (uint8_t)
            kDigits[(uint32_t)d->old_sha256[i / 2] >> (i & 1u ? 0 : 4) & 15u],
        1);
  if (with_key) put_text(d, FT_DELTA_PARENT_END);
}

FT_DELTA_APART static void read_text(ft_delta *d) {
  const ft_delta_text none = {FT_DELTA_SAME,
                              (uint8_t)read_old(d, d->text_at, 1), 0};
  const ft_delta_text text = ft_delta_code_text(&d->of.model, &d->coder, none);
  if (text.op == FT_DELTA_MOVE) {
    d->text_at += (uint32_t)text.distance;
  } else if (text.op >= FT_DELTA_DIGEST) {
    put_digest(d, text.op == FT_DELTA_PARENT);
  } else {
    put(d, text.byte, 1);
    d->text_at += text.op != FT_DELTA_INSERT;
  }
  if (d->text_at > d->io->old_bytes) d->text_at = d->io->old_bytes;
}

FT_DELTA_APART static void read_element(ft_delta *d) {
  ft_delta_model *m = &d->of.model;
  const ft_delta_segment *s = &m->segment;
  const uint32_t each = ft_delta_element_bytes(s->kind);
  uint32_t old_bits = 0, bits;
  if (s->kind == FT_DELTA_TEXT) {
    read_text(d);
    return;
  }
  if (s->has_old && s->kind != FT_DELTA_RAW)
    old_bits = read_old(d, s->old_offset + (s->count - m->left) * each, each);
  --m->left;
  if (s->kind == FT_DELTA_RAW) {
    bits = d->coder.direct(&d->coder, 0, 8);
  } else if (s->kind == FT_DELTA_COPY) {
    bits = old_bits;
  } else if (s->kind == FT_DELTA_I4) {
    bits = ft_delta_code_element(m, &d->coder, old_bits & 15u, 0);
    bits |= ft_delta_code_element(m, &d->coder, old_bits >> 4, 0) << 4;
  } else {
    if (s->kind >= FT_DELTA_STEPS_F16) ft_delta_code_step(m, &d->coder, 0);
    bits = ft_delta_code_element(m, &d->coder, old_bits, 0);
  }
  put(d, bits, each);
}

/* As far as the bytes that are there allow, or to the end. */
FT_DELTA_APART static void decode(ft_delta *d) {
  while (d->status == FT_DELTA_OK && d->unwritten > 0 &&
         (d->coming == 0 || d->in_count - d->in_at >= kStepBytes)) {
    if (d->range == 0) {
      d->range = 0xffffffffu;
      for (int i = 0; i < 4; ++i) take_byte(d);
    }
    if (d->of.model.left == 0)
      read_segment(d);
    else
      read_element(d);
  }
}

/* Moves what was not read yet to the front and fills up; returns how much it
 * took. */
FT_DELTA_APART static uint32_t refill(ft_delta *d, const uint8_t *bytes,
                                      uint32_t count) {
  const uint32_t left = (uint32_t)d->in_count - d->in_at;
  memmove(d->in, d->in + d->in_at, left);
  d->in_at = 0;
  if (count > FT_DELTA_IN_BYTES - left) count = FT_DELTA_IN_BYTES - left;
  memcpy(d->in + left, bytes, count);
  d->in_count = (uint8_t)(left + count);
  return count;
}

void ft_delta_begin(ft_delta *delta, const ft_delta_io *io) {
  memset(delta, 0, sizeof *delta);
  delta->coder.bit = read_bit;
  delta->coder.direct = read_direct;
  delta->io = io;
}

/* Takes what is missing of the head; returns how much it took. */
FT_DELTA_APART static uint32_t push_head(ft_delta *d, const uint8_t *bytes,
                                         uint32_t count) {
  const uint32_t missing = FT_DELTA_HEAD_BYTES - d->head_count;
  if (count > missing) count = missing;
  memcpy(d->of.head + d->head_count, bytes, count);
  d->head_count = (uint8_t)(d->head_count + count);
  if (count == missing) {
    fail(d, ft_delta_take_head(d));
    ft_delta_model_init(&d->of.model);
  }
  return count;
}

static uint32_t push_stream(ft_delta *d, const uint8_t *bytes, uint32_t count) {
  if (count > d->coming) count = d->coming;
  if (count > 0) count = refill(d, bytes, count);
  d->coming -= count;
  decode(d);
  /* Bytes that nothing will read any more. */
  if (count == 0) fail(d, FT_DELTA_PADDED);
  return count;
}

ft_delta_status ft_delta_push(ft_delta *delta, const uint8_t *bytes,
                              uint32_t count) {
  while (count > 0 && delta->status == FT_DELTA_OK) {
    const uint32_t taken = delta->head_count < FT_DELTA_HEAD_BYTES
                               ? push_head(delta, bytes, count)
                               : push_stream(delta, bytes, count);
    bytes += taken;
    count -= taken;
  }
  return (ft_delta_status)delta->status;
}

ft_delta_status ft_delta_end(ft_delta *delta) {
  if (delta->head_count < FT_DELTA_HEAD_BYTES || delta->coming > 0)
    fail(delta, FT_DELTA_TRUNCATED);
  decode(delta); /* an empty stream */
  if (delta->in_at < delta->in_count) fail(delta, FT_DELTA_PADDED);
  flush(delta);
  if (delta->crc32 != delta->new_crc32) fail(delta, FT_DELTA_WRONG_NEW);
  return (ft_delta_status)delta->status;
}
