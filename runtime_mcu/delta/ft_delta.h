/* Applies a delta: makes an adapter's next version from the one that is there
 * and a small file (docs/delta-format.md).
 *
 * The delta comes in pieces of any size and the result leaves in order, so that
 * neither lies in RAM: the precursor is read and the result written through
 * functions of the caller, from one slot of flash to another. No heap, no
 * globals; all state is one ft_delta of less than 1 KB together with the stack.
 *
 * Before the first byte is written the precursor is read once and its CRC-32
 * compared; the last call compares that of the result. Against forgery there is
 * the signature of what comes out, which the caller checks as always
 * (ft_flash_end()); one with SHA-256 compares the digests of the head, too.
 */
#ifndef FT_DELTA_H
#define FT_DELTA_H

#include <stdint.h>

#include "ft_delta_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Files of another format are refused: format 1, which nothing that was
 * released wrote, had another model of integers and text. */
#define FT_DELTA_FORMAT 2u
#define FT_DELTA_HEAD_BYTES 96u
#define FT_DELTA_DIGEST_BYTES 32u

typedef enum ft_delta_status {
  FT_DELTA_OK = 0,
  FT_DELTA_NOT_A_DELTA,  /* no magic number */
  FT_DELTA_BAD_FORMAT,   /* a version or mode that is not known */
  FT_DELTA_BAD_HEAD_CRC, /* a damaged head */
  FT_DELTA_WRONG_OLD,    /* made for another precursor */
  FT_DELTA_REFUSED,      /* by the caller's `start` */
  FT_DELTA_BAD_STREAM,   /* damaged: says what cannot be */
  FT_DELTA_TRUNCATED,    /* ends before the result does */
  FT_DELTA_PADDED,       /* goes on after the result */
  FT_DELTA_WRONG_NEW,    /* the result is not what the maker had */
  FT_DELTA_READ_FAILED,
  FT_DELTA_WRITE_FAILED
} ft_delta_status;

/* One sentence for a log. */
const char *ft_delta_status_text(ft_delta_status status);

/* Modes of a delta file; an applier treats them alike. */
typedef enum ft_delta_mode {
  FT_DELTA_LOSSLESS = 0, /* the new file */
  FT_DELTA_LOSSY = 1,    /* nearly: differences in few bits */
  FT_DELTA_FULL = 2      /* the new file, which is as small without the old */
} ft_delta_mode;

typedef struct ft_delta_head {
  ft_delta_mode mode;
  uint32_t old_bytes, new_bytes;
  uint32_t stream_bytes; /* of what follows the head: all of the file */
  uint32_t old_crc32, new_crc32;
  uint8_t old_sha256[FT_DELTA_DIGEST_BYTES];
  uint8_t new_sha256[FT_DELTA_DIGEST_BYTES];
} ft_delta_head;

void ft_delta_encode_head(const ft_delta_head *head,
                          uint8_t bytes[FT_DELTA_HEAD_BYTES]);
/* OK, NOT_A_DELTA, BAD_FORMAT or BAD_HEAD_CRC. */
ft_delta_status ft_delta_decode_head(const uint8_t bytes[FT_DELTA_HEAD_BYTES],
                                     ft_delta_head *head);

/* Each returns 0 for success. */
typedef struct ft_delta_io {
  void *context;
  /* `count` bytes of the precursor, of which there are `old_bytes`. */
  int (*read)(void *context, uint32_t offset, uint8_t *bytes, uint32_t count);
  /* The next bytes of the result. */
  int (*write)(void *context, const uint8_t *bytes, uint32_t count);
  /* Once, when the head and the precursor were found good and before anything
   * is written; may be null. What it refuses is not applied. */
  int (*start)(void *context, const ft_delta_head *head);
  uint32_t old_bytes;
} ft_delta_io;

enum { FT_DELTA_IN_BYTES = 56, FT_DELTA_OUT_BYTES = 16 };

/* The caller's memory; fields are private. */
typedef struct ft_delta {
  ft_delta_coder coder; /* first: is cast from */
  const ft_delta_io *io;
  uint32_t range, code;
  uint32_t coming;    /* bytes of the stream that were not pushed yet */
  uint32_t unwritten; /* bytes of the result that were not decoded yet */
  uint32_t new_crc32, crc32;
  uint32_t text_at; /* in the precursor */
  uint8_t status;
  uint8_t head_count; /* of its bytes */
  uint8_t past_end;   /* zeros that were read after the stream's last byte */
  uint8_t out_count, in_count, in_at;
  uint8_t old_sha256[FT_DELTA_DIGEST_BYTES];
  uint8_t in[FT_DELTA_IN_BYTES];
  uint8_t out[FT_DELTA_OUT_BYTES];
  union {
    uint8_t head[FT_DELTA_HEAD_BYTES]; /* until it is complete */
    ft_delta_model model;
  } of;
} ft_delta;

/* `io` must outlive the applier. */
void ft_delta_begin(ft_delta *delta, const ft_delta_io *io);
/* The next bytes of the file. Anything but OK is final: the result is not to be
 * used, and every further call says the same. */
ft_delta_status ft_delta_push(ft_delta *delta, const uint8_t *bytes,
                              uint32_t count);
/* After the last: OK if the result is complete and right. */
ft_delta_status ft_delta_end(ft_delta *delta);

/* Private: checks the head and the precursor and calls `start`. */
ft_delta_status ft_delta_take_head(ft_delta *delta);

#ifdef __cplusplus
}
#endif

#endif
