# Monocypher 3.1.2: Ed25519 for devices. Its sources come from a package index,
# by hash, the first time that a build folder is configured, and are kept
# beside the build folders (docs/decisions/016-device-image.md).
set(FT_MONOCYPHER_DIR ${PROJECT_SOURCE_DIR}/build/third_party/monocypher-3.1.2
    CACHE INTERNAL "where its sources are")
if(NOT EXISTS ${FT_MONOCYPHER_DIR}/LICENSE)
  message(STATUS "Fetching Monocypher 3.1.2")
  execute_process(
    COMMAND ${PROJECT_SOURCE_DIR}/tools/fetch_monocypher.sh ${FT_MONOCYPHER_DIR}
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "Monocypher cannot be fetched: it needs pip, "
                        "python3-venv and a package index (or what it would "
                        "make at ${FT_MONOCYPHER_DIR})")
  endif()
endif()

add_library(ft_monocypher STATIC ${FT_MONOCYPHER_DIR}/monocypher.c
                                 ${FT_MONOCYPHER_DIR}/monocypher-ed25519.c)
target_include_directories(ft_monocypher SYSTEM PUBLIC ${FT_MONOCYPHER_DIR})
# It shares names with libsodium, which must not come to call it.
set_target_properties(ft_monocypher PROPERTIES C_VISIBILITY_PRESET hidden)
