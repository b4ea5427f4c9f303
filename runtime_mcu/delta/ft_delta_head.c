/* The 96 bytes in front of a delta's stream. Apart from ft_delta.c, so that
 * what they need of the stack is gone when the stream is decoded. */
#include <string.h>

#include "ft_bytes.h"
#include "ft_crc32.h"
#include "ft_delta.h"

static const uint8_t kMagic[4] = {'F', 'T', 'D', 'L'};

enum { kOldSha = 28, kNewSha = 60, kHeadCrc = 92 };

void ft_delta_encode_head(const ft_delta_head *head,
                          uint8_t bytes[FT_DELTA_HEAD_BYTES]) {
  memset(bytes, 0, FT_DELTA_HEAD_BYTES);
  memcpy(bytes, kMagic, sizeof kMagic);
  bytes[4] = FT_DELTA_FORMAT;
  bytes[5] = (uint8_t)head->mode;
  ft_put_u32(bytes + 8, head->old_bytes);
  ft_put_u32(bytes + 12, head->new_bytes);
  ft_put_u32(bytes + 16, head->stream_bytes);
  ft_put_u32(bytes + 20, head->old_crc32);
  ft_put_u32(bytes + 24, head->new_crc32);
  memcpy(bytes + kOldSha, head->old_sha256, FT_DELTA_DIGEST_BYTES);
  memcpy(bytes + kNewSha, head->new_sha256, FT_DELTA_DIGEST_BYTES);
  ft_put_u32(bytes + kHeadCrc, ft_crc32(0, bytes, kHeadCrc));
}

ft_delta_status ft_delta_decode_head(const uint8_t bytes[FT_DELTA_HEAD_BYTES],
                                     ft_delta_head *head) {
  if (memcmp(bytes, kMagic, sizeof kMagic) != 0) return FT_DELTA_NOT_A_DELTA;
  if (ft_get_u32(bytes + kHeadCrc) != ft_crc32(0, bytes, kHeadCrc))
    return FT_DELTA_BAD_HEAD_CRC;
  if (bytes[4] != FT_DELTA_FORMAT || bytes[5] > FT_DELTA_FULL ||
      bytes[6] != 0 || bytes[7] != 0)
    return FT_DELTA_BAD_FORMAT;
  head->mode = (ft_delta_mode)bytes[5];
  head->old_bytes = ft_get_u32(bytes + 8);
  head->new_bytes = ft_get_u32(bytes + 12);
  head->stream_bytes = ft_get_u32(bytes + 16);
  head->old_crc32 = ft_get_u32(bytes + 20);
  head->new_crc32 = ft_get_u32(bytes + 24);
  memcpy(head->old_sha256, bytes + kOldSha, FT_DELTA_DIGEST_BYTES);
  memcpy(head->new_sha256, bytes + kNewSha, FT_DELTA_DIGEST_BYTES);
  return FT_DELTA_OK;
}

static ft_delta_status check_old(const ft_delta *d, const ft_delta_head *head) {
  uint8_t bytes[16];
  uint32_t crc = 0;
  if (head->old_bytes != d->io->old_bytes) return FT_DELTA_WRONG_OLD;
  for (uint32_t at = 0; at < head->old_bytes;) {
    const uint32_t left = head->old_bytes - at;
    const uint32_t count = left < sizeof bytes ? left : (uint32_t)sizeof bytes;
    if (d->io->read(d->io->context, at, bytes, count) != 0)
      return FT_DELTA_READ_FAILED;
    crc = ft_crc32(crc, bytes, count);
    at += count;
  }
  return crc == head->old_crc32 ? FT_DELTA_OK : FT_DELTA_WRONG_OLD;
}

ft_delta_status ft_delta_take_head(ft_delta *d) {
  ft_delta_head head;
  ft_delta_status status = ft_delta_decode_head(d->of.head, &head);
  if (status == FT_DELTA_OK) status = check_old(d, &head);
  if (status == FT_DELTA_OK && d->io->start != NULL &&
      d->io->start(d->io->context, &head) != 0)
    status = FT_DELTA_REFUSED;
  if (status != FT_DELTA_OK) return status;
  d->coming = head.stream_bytes;
  d->unwritten = head.new_bytes;
  d->new_crc32 = head.new_crc32;
  memcpy(d->old_sha256, head.old_sha256, FT_DELTA_DIGEST_BYTES);
  return FT_DELTA_OK;
}

const char *ft_delta_status_text(ft_delta_status status) {
  switch (status) {
    case FT_DELTA_OK: return "ok";
    case FT_DELTA_NOT_A_DELTA: return "not a delta";
    case FT_DELTA_BAD_FORMAT: return "a format or mode that is not known";
    case FT_DELTA_BAD_HEAD_CRC: return "the head's CRC-32 does not match";
    case FT_DELTA_WRONG_OLD: return "made for another precursor";
    case FT_DELTA_REFUSED: return "refused by the caller";
    case FT_DELTA_BAD_STREAM: return "the stream is damaged";
    case FT_DELTA_TRUNCATED: return "the delta ends too early";
    case FT_DELTA_PADDED: return "bytes follow after the delta's end";
    case FT_DELTA_WRONG_NEW: return "the result is not what was sent";
    case FT_DELTA_READ_FAILED: return "the precursor could not be read";
    case FT_DELTA_WRITE_FAILED: return "the result could not be written";
  }
  return "?";
}
