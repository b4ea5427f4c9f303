/* A keyword spotter that learns a word of its user.
 *
 * Every 20 ms it takes a hop of audio, computes one frame of features, and asks
 * the model. The user says a new word five times and presses a button after
 * each; from then on, what time an inference leaves goes into training, in
 * slices. Lessons and training states are in flash: when the power fails,
 * training goes on where it was. */
#include <string.h>

#include "boards/board.h"
#include "flash_region.h"
#include "ft_frontend.h"
#include "ft_model.h"
#include "ft_store.h"
#include "lessons.h"
#include "listener.h"
#include "session.h"
#include "words.h"

enum {
  IDLE_WORK = 4000000, /* instructions of training between two hops, about */
  WINDOW_STEP = 6,     /* hops between the windows that are kept of a take */
  SAVE_STEPS = 64      /* training steps between two states in flash */
};

/* All of it is lost with the power. */
static struct {
  ft_model model;
  ft_frontend ears;
  ft_store store;
  listener words;
  FT_ALIGNED uint8_t before[FT_ADAPTER_BYTES]; /* what inference uses until
                                                  training is done */
  int32_t windows, wait; /* of a take: still to keep, hops to the next one */
  int training, in_step; /* is a sample in the training inputs? */
} ram;

static uint32_t now; /* hops since the session began: a clock */

static void say_time(void) {
  const uint32_t hundredths = now * 2;
  ft_board_write("[");
  if (hundredths < 1000) ft_board_write(" ");
  ft_board_write_u32(hundredths / 100);
  ft_board_write(hundredths % 100 < 10 ? ".0" : ".");
  ft_board_write_u32(hundredths % 100);
  ft_board_write(" s] ");
}

static void say(const char *text) {
  say_time();
  ft_board_write(text);
  ft_board_write("\n");
}

static void say_number(const char *before, int32_t number, const char *after) {
  say_time();
  ft_board_write(before);
  ft_board_write_u32((uint32_t)number);
  ft_board_write(after);
  ft_board_write("\n");
}

static void say_heard(int32_t word, int8_t probability) {
  say_time();
  ft_board_write("heard \"");
  ft_board_write(words_names[word]);
  ft_board_write("\", ");
  ft_board_write_u32((uint32_t)(probability + 128) * 100 / 255);
  ft_board_write(" %\n");
}

static void save(void) {
  const ft_flash_status status = ft_store_save(&ram.store, &ram.model);
  if (status != FT_FLASH_OK) ft_board_fail(ft_flash_status_text(status));
}

/* Values that are half trained would mistake words. */
static void use_values(void) {
  if (ft_swap_adapter(&ram.model, ram.training ? ram.before : 0) != FT_OK)
    ft_board_fail("the adapter is not aligned");
}

/* After the power came: what is in flash is all there is. */
static void boot(void) {
  memset(&ram, 0xA5, sizeof ram);
  ft_init(&ram.model);
  memcpy(ram.before, ram.model.persistent, sizeof ram.before);
  ft_frontend_init(&ram.ears);
  listener_init(&ram.words);
  ram.windows = ram.wait = ram.training = ram.in_step = 0;
  if (ft_store_open(&ram.store, &ram.model, &flash_for_store) ==
      FT_FLASH_BAD_LAYOUT)
    ft_board_fail("the flash is too small");
  if (ft_store_load(&ram.store, &ram.model) != FT_FLASH_OK) {
    say("started; nothing was taught yet");
    lessons_forget();
    return;
  }
  ram.training = ram.model.step < lessons_steps();
  use_values();
  if (ram.training)
    say_number("started; training goes on after step ", (int32_t)ram.model.step,
               "");
  else
    say("started; what was taught is in flash");
}

static void start_training(void) {
  ram.training = 1;
  ft_start_training(&ram.model);
  use_values();
  say_number("training begins: ", lessons_steps(), " steps, between the hops");
  save();
}

/* One slice, as long as the idle time between two hops. */
static void train(void) {
  ft_status status;
  if (!ram.in_step) {
    int32_t label;
    const int8_t *sample = lessons_sample((int32_t)ram.model.step, &label);
    memcpy(ft_train_input(&ram.model), sample, FT_FRONTEND_VALUES);
    *ft_train_target(&ram.model) = label;
    ram.in_step = 1;
  }
  ft_mark_begin("train");
  status = ft_train_poll(&ram.model, IDLE_WORK);
  ft_mark_end();
  if (status == FT_BUSY) return;
  if (status != FT_OK) ft_board_fail("the loss is not finite");
  ram.in_step = 0;
  ram.training = ram.model.step < lessons_steps();
  if (!ram.training || ram.model.step % SAVE_STEPS == 0) save();
  if (ram.training) return;
  use_values();
  say("trained, and kept in flash");
}

/* The word was just said: the model's input now, and twice more as it moves on.
 */
static void keep_windows(const int8_t *input) {
  if (ram.windows == 0 || --ram.wait > 0) return;
  ram.wait = WINDOW_STEP;
  lessons_add(input);
  if (--ram.windows > 0) return;
  say_number("take ", lessons_known() / LESSON_WINDOWS, " is kept");
  if (lessons_known() == LESSON_COUNT) start_training();
}

static void hear(const int16_t *samples) {
  static int8_t input[FT_FRONTEND_VALUES];
  const int8_t *answer;
  int32_t word;
  ft_mark_begin("listen");
  ft_frontend_push(&ram.ears, samples);
  ft_frontend_input(&ram.ears, input);
  memcpy(ft_infer_input(&ram.model), input, sizeof input);
  ft_infer(&ram.model);
  ft_mark_end();
  answer = ft_infer_output(&ram.model);
  word = listener_hear(&ram.words, answer);
  if (word != LISTENER_NOTHING) say_heard(word, answer[word]);
  keep_windows(input);
}

static void on_event(int event) {
  if (event == SESSION_POWER) {
    say("the power fails");
    boot();
  }
  if (event == SESSION_TAKE && ram.training == 0 &&
      lessons_known() < LESSON_COUNT) {
    ram.windows = LESSON_WINDOWS;
    ram.wait = 1;
  }
}

int main(void) {
  static int16_t hop[FT_FRONTEND_HOP];
  session_open("session.wav", "events.txt");
  boot();
  for (; session_listen(hop); ++now) {
    on_event(session_event(now));
    hear(hop);
    if (ram.training) train();
  }
  say("the recording ends");
  return 0;
}
