/* What the user taught: inputs of the model, kept in flash, so that training
 * outlives a loss of power. Training walks through them and through the replay
 * that the firmware brings, so that old words are not forgotten. */
#ifndef LESSONS_H_
#define LESSONS_H_

#include <stdint.h>

enum {
  LESSON_TAKES = 5,   /* of the new word */
  LESSON_WINDOWS = 3, /* that are kept of a take */
  LESSON_COUNT = LESSON_TAKES * LESSON_WINDOWS,
  LESSON_EPOCHS = 3
};

void lessons_forget(void);
int32_t lessons_known(void);
void lessons_add(const int8_t *input);

/* Steps of the whole training, and the sample of one of them. */
int32_t lessons_steps(void);
const int8_t *lessons_sample(int32_t step, int32_t *label);

#endif /* LESSONS_H_ */
