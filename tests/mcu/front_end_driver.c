/* Runs a printed front end over recordings, on a board or, with FT_HOST, here.
 * audio.raw holds CLIPS clips of FT_FRONTEND_HOPS * FT_FRONTEND_HOP samples
 * (16 bits, little-endian); inputs.bin gets the model's input at the end of
 * each. Every clip but the first starts behind the one before, as a stream. */
#include <string.h>

#include "clips.h"
#include "ft_frontend.h"
#include "ft_model.h"

#ifdef FT_HOST
#include <stdio.h>
static void ft_mark_begin(const char *name) { (void)name; }
static void ft_mark_end(void) {}
static int32_t read_file(const char *path, uint32_t offset, void *buffer,
                         uint32_t bytes) {
  static FILE *f;
  if (!f) f = fopen(path, "rb");
  if (!f || fseek(f, (long)offset, SEEK_SET) != 0) return -1;
  return (int32_t)fread(buffer, 1, bytes, f);
}
static int write_file(const char *path, const void *data, uint32_t bytes) {
  FILE *f = fopen(path, "wb");
  const size_t written = f ? fwrite(data, 1, bytes, f) : 0;
  return f && fclose(f) == 0 && written == bytes ? 0 : -1;
}
#else
#include "boards/board.h"
#define read_file ft_board_read_file
#define write_file ft_board_write_file
#endif

static ft_model model;
static ft_frontend front_end;
static int16_t hop[FT_FRONTEND_HOP];
static unsigned char inputs[CLIPS][INPUT_BYTES];

int main(void) {
  uint32_t clip, i, offset = 0;
  ft_init(&model);
  ft_frontend_init(&front_end);
  for (clip = 0; clip < CLIPS; ++clip) {
    for (i = 0; i < FT_FRONTEND_HOPS; ++i, offset += sizeof hop) {
      if (read_file("audio.raw", offset, hop, sizeof hop) !=
          (int32_t)sizeof hop)
        return 2;
      ft_mark_begin("push");
      ft_frontend_push(&front_end, hop);
      ft_mark_end();
    }
    ft_mark_begin("input");
    ft_frontend_input(&front_end, ft_infer_input(&model));
    ft_mark_end();
    memcpy(inputs[clip], ft_infer_input(&model), INPUT_BYTES);
  }
  return write_file("inputs.bin", inputs, sizeof inputs);
}
