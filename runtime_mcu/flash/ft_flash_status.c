#include "ft_flash_status.h"

const char *ft_flash_status_text(ft_flash_status status) {
  switch (status) {
    case FT_FLASH_OK: return "ok";
    case FT_FLASH_PREVIOUS:
      return "the newest adapter is damaged, the one before it runs";
    case FT_FLASH_NO_ADAPTER: return "no adapter was committed yet";
    case FT_FLASH_NO_STATE: return "there is no training state";
    case FT_FLASH_STALE_STATE:
      return "the training state goes on from another adapter";
    case FT_FLASH_DAMAGED: return "no committed adapter is intact";
    case FT_FLASH_NOT_AN_IMAGE: return "not a device image";
    case FT_FLASH_BAD_FORMAT: return "format version, kind or flags unknown";
    case FT_FLASH_BAD_HEADER_CRC: return "the header's CRC-32 does not match";
    case FT_FLASH_BAD_PAYLOAD_CRC: return "the payload's CRC-32 does not match";
    case FT_FLASH_WRONG_KIND: return "an image of the other kind";
    case FT_FLASH_WRONG_LENGTH: return "the length is not what is expected";
    case FT_FLASH_WRONG_BASE: return "made for another base model";
    case FT_FLASH_WRONG_PLAN: return "made for another program";
    case FT_FLASH_WRONG_NUMBER: return "another one of the device's adapters";
    case FT_FLASH_OLDER_VERSION:
      return "older than an adapter that was here before";
    case FT_FLASH_UNSIGNED: return "not signed";
    case FT_FLASH_BAD_SIGNATURE: return "the signature does not match";
    case FT_FLASH_TOO_LARGE: return "larger than its slot";
    case FT_FLASH_BAD_LAYOUT: return "the configuration contradicts itself";
    case FT_FLASH_BAD_CALL: return "called in the wrong order";
    case FT_FLASH_WRITE_FAILED: return "flash could not be written";
  }
  return "unknown status";
}
