#include "lessons.h"

#include <string.h>

#include "flash_region.h"
#include "ft_frontend.h"
#include "words.h"

/* A slot: the input, and a byte that is not blank once it is there. */
enum { SLOT_BYTES = 512, MARK = 0x55 };
typedef char lessons_fit[LESSON_COUNT * SLOT_BYTES <=
                                     FLASH_LESSON_PAGES * FLASH_PAGE_BYTES &&
                                 FT_FRONTEND_VALUES < SLOT_BYTES
                             ? 1
                             : -1];

static const uint8_t *slot(int32_t i) {
  return flash_lessons() + i * SLOT_BYTES;
}

void lessons_forget(void) { flash_erase_lessons(); }

int32_t lessons_known(void) {
  int32_t count = 0;
  while (count < LESSON_COUNT && slot(count)[FT_FRONTEND_VALUES] == MARK)
    ++count;
  return count;
}

void lessons_add(const int8_t *input) {
  const uint8_t mark = MARK;
  const uint32_t at = (uint32_t)lessons_known() * SLOT_BYTES;
  flash_program_lesson(at, input, FT_FRONTEND_VALUES);
  flash_program_lesson(at + FT_FRONTEND_VALUES, &mark, 1);
}

int32_t lessons_steps(void) {
  return LESSON_EPOCHS * (WORDS_REPLAYED + LESSON_COUNT);
}

/* A stride that shares no factor with the number of samples visits all of them
 * in mixed order; a function of the step, so that training can go on anywhere.
 */
const int8_t *lessons_sample(int32_t step, int32_t *label) {
  const int32_t count = WORDS_REPLAYED + LESSON_COUNT;
  const int32_t i = (int32_t)((int64_t)step * WORDS_STRIDE % count);
  if (i < WORDS_REPLAYED) {
    *label = words_replay_label[i];
    return words_replay[i];
  }
  *label = WORDS_NEW;
  return (const int8_t *)slot(i - WORDS_REPLAYED);
}
