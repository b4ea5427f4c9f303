/* Trains and infers a model that 'fieldtune compile' printed, on a board or,
 * with FT_HOST, here. samples.h has the data: SAMPLES of INPUT_BYTES and
 * TARGET_BYTES each, used in turns for STEPS steps (0: inference only). A model
 * for slices trains in the shortest there are, and infers in between; one that
 * trains on features gets those of each sample. Leaves
 * the adapter's values in adapter.bin and the answer for the first sample in
 * answer.bin. */
#include <string.h>

#include "ft_model.h"
#include "samples.h"

#ifdef FT_HOST
#include <stdio.h>
static void ft_mark_begin(const char *name) { (void)name; }
static void ft_mark_end(void) {}
static int write_file(const char *path, const void *data, uint32_t bytes) {
  FILE *f = fopen(path, "wb");
  const size_t written = f ? fwrite(data, 1, bytes, f) : 0;
  return f && fclose(f) == 0 && written == bytes ? 0 : -1;
}
#else
#include "boards/board.h"
#define write_file ft_board_write_file
#endif

static ft_model model;

static void infer_first(void) {
  memcpy(ft_infer_input(&model), inputs[0], INPUT_BYTES);
  ft_mark_begin("infer");
  ft_infer(&model);
  ft_mark_end();
}

#ifdef FT_LONGEST_SLICE
static ft_status train_step(void) {
  ft_status status = FT_BUSY;
  int slice;
  for (slice = 0; status == FT_BUSY; ++slice) {
    ft_mark_begin("slice");
    status = ft_train_poll(&model, 1);
    ft_mark_end();
    /* At first often, then behind slices 256, 512, ... */
    if (slice < 256 ? slice % 16 == 0 : (slice & (slice - 1)) == 0)
      infer_first();
  }
  return status;
}
#elif STEPS > 0
static ft_status train_step(void) {
  ft_status status;
  ft_mark_begin("train");
  status = ft_train_step(&model);
  ft_mark_end();
  return status;
}
#endif

#if STEPS > 0
static void fill_train_input(const unsigned char *sample) {
#ifdef FT_FEATURE_BYTES
  static unsigned char kept[FT_FEATURE_BYTES];
  memcpy(ft_features_input(&model), sample, INPUT_BYTES);
  ft_mark_begin("features");
  ft_features(&model);
  ft_mark_end();
  memcpy(kept, ft_features_output(&model), FT_FEATURE_BYTES);
  memcpy(ft_train_input(&model), kept, FT_FEATURE_BYTES);
#else
  memcpy(ft_train_input(&model), sample, INPUT_BYTES);
#endif
}
#endif

int main(void) {
  int status = 0;
  ft_init(&model);
#if STEPS > 0
  int step;
  for (step = 0; step < STEPS; ++step) {
    fill_train_input(inputs[step % SAMPLES]);
    memcpy(ft_train_target(&model), targets[step % SAMPLES], TARGET_BYTES);
    if (train_step() != FT_OK) status = 1;
  }
#endif
  infer_first();
  if (write_file("answer.bin", ANSWER(&model), ANSWER_BYTES) != 0) return 2;
#if FT_ADAPTER_BYTES > 0
  if (write_file("adapter.bin", model.adapter, FT_ADAPTER_BYTES) != 0) return 2;
#endif
  return status;
}
