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

enum {
  FT_DELTA_SETS = 6,
  FT_DELTA_NODES = 10,
  FT_DELTA_RUNS = 16,
  FT_DELTA_LITERALS = 128
};

/* Fields are private. Numbers and text never mix within a segment, so their
 * states share memory and start anew when one follows the other. */
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
  uint8_t learned;   /* what the states below are of: 1 text, 2 numbers */
  uint16_t of_header[4];
  union {
    struct {
      uint16_t run[FT_DELTA_RUNS], op[2], high;
      uint16_t literal[FT_DELTA_LITERALS]; /* a tree; [0] is not used */
    } text;
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
  FT_DELTA_MOVE        /* no byte: go `distance` from it */
} ft_delta_text_op;

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
