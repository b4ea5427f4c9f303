/* What the functions of this folder report. Whatever it is, the adapter that
 * was there before still is. */
#ifndef FT_FLASH_STATUS_H
#define FT_FLASH_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ft_flash_status {
  FT_FLASH_OK = 0,
  FT_FLASH_PREVIOUS,       /* newest adapter is damaged: the one before runs */
  FT_FLASH_NO_ADAPTER,     /* none was ever committed: the base model alone */
  FT_FLASH_NO_STATE,       /* nothing to resume */
  FT_FLASH_STALE_STATE,    /* the state goes on from another adapter */
  FT_FLASH_DAMAGED,        /* adapters were committed, none is intact */
  FT_FLASH_NOT_AN_IMAGE,   /* no magic number */
  FT_FLASH_BAD_FORMAT,     /* format version, kind or flags are unknown */
  FT_FLASH_BAD_HEADER_CRC, /* torn or rotten header */
  FT_FLASH_BAD_PAYLOAD_CRC,
  FT_FLASH_WRONG_KIND,   /* a state where an adapter belongs, or vice versa */
  FT_FLASH_WRONG_LENGTH, /* not as many bytes as the program reads, or as the
                            header says */
  FT_FLASH_WRONG_BASE,   /* made for another base model */
  FT_FLASH_WRONG_PLAN,   /* made for another program */
  FT_FLASH_WRONG_NUMBER, /* another one of the device's adapters */
  FT_FLASH_OLDER_VERSION,
  FT_FLASH_UNSIGNED, /* this device takes signed adapters only */
  FT_FLASH_BAD_SIGNATURE,
  FT_FLASH_TOO_LARGE,    /* does not fit its slot */
  FT_FLASH_BAD_LAYOUT,   /* the configuration contradicts itself */
  FT_FLASH_BAD_CALL,     /* e.g. bytes of an image before its begin */
  FT_FLASH_WRITE_FAILED, /* the driver failed, or flash reads otherwise */
} ft_flash_status;

/* One sentence for a log. */
const char *ft_flash_status_text(ft_flash_status status);

#ifdef __cplusplus
}
#endif

#endif
