#include "session.h"

#include <string.h>

#include "boards/board.h"
#include "ft_frontend.h"

enum { MOST_EVENTS = 64 };

static const char *audio;
static uint32_t audio_at, audio_end;
static struct {
  uint32_t hop;
  int what;
} events[MOST_EVENTS];
static int event_count, next_event;

static uint32_t le32(const uint8_t *b) {
  return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
         (uint32_t)b[3] << 24;
}

/* Chunks up to "data", whose samples lie between audio_at and audio_end. */
static void open_wav(const char *path) {
  static const uint8_t pcm_mono[4] = {1, 0, 1, 0};
  uint8_t head[24];
  int known = 0;
  audio = path;
  if (ft_board_read_file(path, 0, head, 12) != 12 ||
      memcmp(head, "RIFF", 4) != 0 || memcmp(head + 8, "WAVE", 4) != 0)
    ft_board_fail("the audio is no WAV file");
  for (audio_at = 12; ft_board_read_file(path, audio_at, head, 24) >= 8;
       audio_at += 8 + (le32(head + 4) + 1) / 2 * 2) {
    if (memcmp(head, "fmt ", 4) == 0)
      known = memcmp(head + 8, pcm_mono, 4) == 0 &&
              le32(head + 12) == FT_FRONTEND_SAMPLE_RATE && head[22] == 16;
    if (memcmp(head, "data", 4) == 0 && known) {
      audio_at += 8;
      audio_end = audio_at + le32(head + 4);
      return;
    }
  }
  ft_board_fail("the audio is not 16-bit PCM, mono, at the model's rate");
}

static void open_events(const char *path) {
  static char text[2048];
  const int32_t size = ft_board_read_file(path, 0, text, sizeof text - 1);
  const char *c = text;
  if (size < 0 || size == (int32_t)sizeof text - 1)
    ft_board_fail("the events cannot be read");
  text[size] = 0;
  while (*c) {
    uint32_t hop = 0;
    if (event_count == MOST_EVENTS) ft_board_fail("too many events");
    for (; *c >= '0' && *c <= '9'; ++c) hop = 10 * hop + (uint32_t)(*c - '0');
    events[event_count].hop = hop;
    events[event_count].what = strncmp(c, " take\n", 6) == 0 ? SESSION_TAKE
                               : strncmp(c, " power\n", 7) == 0
                                   ? SESSION_POWER
                                   : SESSION_NOTHING;
    if (events[event_count++].what == SESSION_NOTHING)
      ft_board_fail("an event is neither 'take' nor 'power'");
    c = strchr(c, '\n') + 1;
  }
}

void session_open(const char *wav, const char *event_list) {
  open_wav(wav);
  open_events(event_list);
}

int session_listen(int16_t *samples) {
  enum { BYTES = FT_FRONTEND_HOP * 2 };
  if (audio_at + BYTES > audio_end ||
      ft_board_read_file(audio, audio_at, samples, BYTES) != BYTES)
    return 0;
  audio_at += BYTES;
  return 1;
}

int session_event(uint32_t hop) {
  if (next_event == event_count || events[next_event].hop > hop)
    return SESSION_NOTHING;
  return events[next_event++].what;
}
