#include "listener.h"

#include "words.h"

enum { SURE = 38 /* 65 % */, LEADS = 6, FORGETS = 12 };

void listener_init(listener *l) {
  l->leader = l->heard = WORDS_OTHER;
  l->led = l->quiet = 0;
}

int32_t listener_hear(listener *l, const int8_t *probabilities) {
  int32_t best = WORDS_OTHER, i;
  for (i = 0; i < WORDS_CLASSES; ++i)
    if (probabilities[i] > probabilities[best]) best = i;
  if (probabilities[best] < SURE) best = WORDS_OTHER;
  l->led = best == l->leader ? l->led + 1 : 1;
  l->leader = best;
  l->quiet = best == l->heard ? 0 : l->quiet + 1;
  if (l->quiet >= FORGETS) l->heard = WORDS_OTHER;
  if (best == WORDS_OTHER || best == l->heard || l->led < LEADS)
    return LISTENER_NOTHING;
  l->heard = best;
  l->quiet = 0;
  return best;
}
