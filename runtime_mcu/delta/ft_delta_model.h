/* What a delta says of its values, bit by bit: the one model that the maker on
 * the host and the applier on the device share, so that they cannot differ.
 *
 * Every decision goes through an ft_delta_coder: the maker's writes the bit
 * that it is given, the applier's ignores it and returns the one it reads, and
 * a third one only counts what writing would cost. Each function takes the
 * value to be written and returns the value that was coded.
 *
 * Numbers are coded by magnitude class, sign and the bits below, each class in
 * the light of the magnitude that is expected here. No floating point but in
 * lossy kinds, no heap, no tables that grow with the file.
 */
#ifndef FT_DELTA_MODEL_H
#define FT_DELTA_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Elements of a segment. Of those with a width the difference to the
 * precursor's element is coded: of integers in the stored grid; of floats in
 * units of the last place, counted from the least float to the greatest; of
 * STEPS_ in multiples of a power of two, which is the lossy mode. */
typedef enum ft_delta_kind {
  FT_DELTA_TEXT, /* bytes that follow the precursor's, with insertions */
  FT_DELTA_RAW,  /* bytes as they are */
  FT_DELTA_COPY, /* the precursor's bytes */
  FT_DELTA_I4,   /* two a byte, the first in the low half */
  FT_DELTA_I8,
  FT_DELTA_I16,
  FT_DELTA_I32,
  FT_DELTA_F16,
  FT_DELTA_BF16,
  FT_DELTA_F32,
  FT_DELTA_STEPS_F16,
  FT_DELTA_STEPS_BF16,
  FT_DELTA_STEPS_F32,
  FT_DELTA_KINDS
} ft_delta_kind;

enum {
  FT_DELTA_MAX_GROUPS = 16,
  FT_DELTA_STEPS_BLOCK = 256 /* values that share a step of a lossy kind */
};

typedef struct ft_delta_coder {
  uint32_t (*bit)(struct ft_delta_coder *coder, uint16_t *state, uint32_t bit);
  /* The `count` low bits of value, at most 32, equally likely. */
  uint32_t (*direct)(struct ft_delta_coder *coder, uint32_t value,
                     uint32_t count);
} ft_delta_coder;

/* Of a bit: the chance of a 0 in 4096ths, and an index of how fast it still
 * learns in the 4 bits below. */
static inline uint32_t ft_delta_chance(uint16_t state) {
  return (uint32_t)state >> 4;
}
void ft_delta_learn(uint16_t *state, uint32_t bit);

/* Element i of a segment belongs to group i / row % groups: those that have a
 * step of their own, or the rank of a low-rank factor. Of integers the model
 * learns for each group what the precursor's are to be multiplied by, as steps
 * grow or shrink from one version to the next. */
typedef struct ft_delta_segment {
  uint32_t count;      /* elements; bytes of TEXT, RAW, COPY and I4 */
  uint32_t old_offset; /* in the precursor */
  uint32_t row;        /* at least 1 */
  uint16_t start;      /* magnitude that is expected at first, half classes */
  uint8_t kind;        /* ft_delta_kind */
  uint8_t has_old;     /* 0: differences are to zero */
  uint8_t shift;       /* low bits of each element that are 0 and left out */
  uint8_t groups;      /* 1 to FT_DELTA_MAX_GROUPS */
} ft_delta_segment;

/* What a function keeps on the stack is not to be there in the deepest call, or
 * is to be gone by then. */
#if defined(__GNUC__)
#define FT_DELTA_APART __attribute__((noinline))
#else
#define FT_DELTA_APART
#endif

enum {
  FT_DELTA_SETS = 6,
  FT_DELTA_NODES = 10,
  FT_DELTA_RUNS = 16,
  FT_DELTA_SHAPES = 4, /* of segments that are remembered */
  FT_DELTA_LINKED =
      4, /* groups whose errors may be linked, and pairs of them */
  FT_DELTA_LINKS = 6
};

/* States of decisions about segments, by what is decided. */
enum {
  FT_DELTA_OTHER_KIND,
  FT_DELTA_OTHER_GROUPS,
  FT_DELTA_HAS_OLD,
  FT_DELTA_OTHER_PLACE,
  FT_DELTA_BEYOND,
  FT_DELTA_SHAPE, /* two bits: itself and the two that follow it */
  FT_DELTA_KNOWN_SHAPE = FT_DELTA_SHAPE + 3,
  FT_DELTA_HEADER_STATES
};

/* Of integers of 4 and 8 bits (ft_delta_grid.c). */
typedef struct ft_delta_grid {
  uint32_t rounds; /* how often the last group was done */
  /* Of this element: what is expected; what it may still be, [low, high), and
   * the chances of all below. Here, since a stack would hold them twice. */
  uint32_t steepness, at_low, at_high;
  int16_t mean, old, low, high;
  uint16_t met; /* groups that had a largest integer */
  /* Of each group: factor in 4096ths, the sum of squares that it was learned
   * from in 64ths, mean error in 128ths. */
  uint16_t factor[FT_DELTA_MAX_GROUPS], squares[FT_DELTA_MAX_GROUPS];
  uint16_t spread[FT_DELTA_MAX_GROUPS];
  /* Of each linked group the last error in 16ths and the sum of squares; of
   * each pair what one says of the other, in 4096ths. */
  int16_t error[FT_DELTA_LINKED];
  uint16_t power[FT_DELTA_LINKED];
  int16_t link[FT_DELTA_LINKS];
} ft_delta_grid;

/* Of a segment, to be told again in few bits. */
typedef struct ft_delta_shape {
  uint16_t count, row;
  uint8_t groups;
} ft_delta_shape;

/* Fields are private. Numbers, grids and text never mix within a segment, so
 * what is learned of them shares memory and starts anew when one follows the
 * other. */
typedef struct ft_delta_model {
  ft_delta_segment segment;
  uint32_t left;   /* elements of it that are to come */
  uint32_t in_row; /* elements since the group changed */
  uint16_t group;
  uint16_t in_block; /* of a lossy kind */
  uint16_t expected; /* mean magnitude, 16ths of a class */
  int16_t step_exponent;
  uint8_t last_sign; /* of the last difference that was not 0: 1 minus, 2 plus;
                        0: there was none */
  uint8_t text_run;  /* bytes since the last that was not the precursor's */
  uint8_t learned; /* what the states below are of: 1 text, 2 numbers, 3 grid */
  uint8_t no_extremes; /* groups of a grid need not have a largest integer */
  uint16_t typical;    /* mean error of all grids, 128ths; 0: not known yet */
  uint16_t of_header[FT_DELTA_HEADER_STATES];
  ft_delta_shape shape[FT_DELTA_SHAPES]; /* the last first */
  union {
    struct {
      uint16_t run[FT_DELTA_RUNS], op[2], high;
      /* Trees, of which [0] is not used: bits 4 to 6, and the low half of
       * marks, digits and small letters. */
      uint16_t middle[8], low[4][16];
    } text;
    ft_delta_grid grid;
    struct {
      uint16_t level[FT_DELTA_SETS][FT_DELTA_NODES];
      uint16_t down[8], top[9], sign[3][3], same_step;
      /* Of each group: factor in 4096ths, and the sum of squares that it was
       * learned from in 64ths. */
      uint16_t factor[FT_DELTA_MAX_GROUPS], squares[FT_DELTA_MAX_GROUPS];
    } number;
  } of;
} ft_delta_model;

void ft_delta_model_init(ft_delta_model *model);

/* The head of a segment, which becomes model->segment; a reader checks it
 * before anything else. */
void ft_delta_code_segment(ft_delta_model *model, ft_delta_coder *coder,
                           const ft_delta_segment *segment);

/* Of a kind that exists; of I4 two elements. */
uint32_t ft_delta_element_bytes(uint32_t kind);

/* Floats but for the lossy kinds, with two bits or more left. */
int ft_delta_may_shift(const ft_delta_segment *segment);

/* What a byte of text is made from. */
typedef enum ft_delta_text_op {
  FT_DELTA_SAME,       /* the precursor's next byte */
  FT_DELTA_SUBSTITUTE, /* `byte` in place of it */
  FT_DELTA_INSERT,     /* `byte` in front of it */
  FT_DELTA_MOVE,       /* no byte: go `distance` from it, which is not 0 */
  FT_DELTA_DIGEST,     /* the precursor's SHA-256 in front of it, hexadecimal */
  FT_DELTA_PARENT      /* and with the key that it has in metadata */
} ft_delta_text_op;

#define FT_DELTA_PARENT_KEY "\"parent_sha256\":\""
#define FT_DELTA_PARENT_END "\","

/* Bytes that DIGEST and PARENT stand for, which whoever codes them counts. */
enum {
  FT_DELTA_DIGEST_TEXT = 64,
  FT_DELTA_PARENT_TEXT = FT_DELTA_DIGEST_TEXT + sizeof FT_DELTA_PARENT_KEY - 1 +
                         sizeof FT_DELTA_PARENT_END - 1
};

typedef struct ft_delta_text {
  ft_delta_text_op op;
  uint8_t byte;
  int32_t distance;
} ft_delta_text;

ft_delta_text ft_delta_code_text(ft_delta_model *model, ft_delta_coder *coder,
                                 ft_delta_text text);

/* The step of the next block of a lossy kind is 2^exponent; a no-op unless one
 * begins. */
void ft_delta_code_step(ft_delta_model *model, ft_delta_coder *coder,
                        int32_t exponent);

/* Private: what a segment of I4 or I8 starts with, and one of its integers,
 * right-aligned. */
void ft_delta_start_grid(ft_delta_model *model);
uint32_t ft_delta_code_grid(ft_delta_model *model, ft_delta_coder *coder,
                            uint32_t old_bits, uint32_t target);

/* One element of the kinds from I4 on: its bits, from those of the
 * precursor's (0 if there is none), right-aligned; of I4 one nibble. Of a lossy
 * kind `target` is the multiple of the step (two's complement) that is added,
 * and the sum is returned. */
uint32_t ft_delta_code_element(ft_delta_model *model, ft_delta_coder *coder,
                               uint32_t old_bits, uint32_t target);

#ifdef __cplusplus
}
#endif

#endif
