/* What reaches the firmware from outside: a microphone, which is a WAV file of
 * the host, and a button and a power supply, which are lines of a text file:
 *
 *   <hop> take      the button: what was just said is a take of the new word
 *   <hop> power     the power fails, and comes back
 *
 * in the order of their hops. Semihosting reads both. */
#ifndef SESSION_H_
#define SESSION_H_

#include <stdint.h>

enum { SESSION_NOTHING, SESSION_TAKE, SESSION_POWER };

/* Fails the run where one of the files is not as it should be. */
void session_open(const char *wav, const char *events);
/* The next hop's samples; 0 at the end. */
int session_listen(int16_t *samples);
/* What happens at hop `hop`. */
int session_event(uint32_t hop);

#endif /* SESSION_H_ */
