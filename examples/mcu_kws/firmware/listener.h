/* From answers, one every hop, to words: a word is heard once its class has led
 * for a while, and not again before something else was heard. */
#ifndef LISTENER_H_
#define LISTENER_H_

#include <stdint.h>

enum { LISTENER_NOTHING = -1 };

typedef struct {
  int32_t leader, led, heard, quiet; /* hops */
} listener;

void listener_init(listener *l);

/* probabilities[WORDS_CLASSES], -128 is 0 and 127 is 1. The class of a word
 * that is heard now, or LISTENER_NOTHING. */
int32_t listener_hear(listener *l, const int8_t *probabilities);

#endif /* LISTENER_H_ */
