// The store without power cuts: what it takes, what it refuses, what it keeps.
#include <gtest/gtest.h>

#include <string>

#include "ft_crc32.h"
#include "ft_ed25519.h"
#include "ft_flash.h"
#include "test_store.h"

namespace ft::test {
namespace {

// A device: flash, configuration and the store that was opened last.
struct Device {
  explicit Device(const Geometry& geometry = kGeometries[0])
      : config(test_config(geometry)),
        flash(ft_flash_region_bytes(&config), geometry.page_bytes,
              geometry.program_bytes) {
    config.driver = flash.driver();
  }
  ft_flash_status open() { return ft_flash_open(&store, &config); }
  int running() const { return running_adapter(store, 300); }

  ft_flash_config config;
  SimFlash flash;
  ft_flash store;
};

TEST(Flash, StartsWithoutAdapterOnAnyOldBytes) {
  for (const Geometry& geometry : kGeometries) {
    Device device(geometry);
    EXPECT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
    EXPECT_EQ(ft_flash_adapter(&device.store), nullptr);
    EXPECT_EQ(install(device.store, make_image(1)), FT_FLASH_OK);
    EXPECT_EQ(device.running(), 1);
    EXPECT_EQ(device.open(), FT_FLASH_OK);
    EXPECT_EQ(device.running(), 1);
    EXPECT_EQ(device.flash.violations(), 0);
  }
}

TEST(Flash, TakesPiecesOfAnySize) {
  for (const Geometry& geometry : kGeometries)
    for (const uint32_t piece : {1U, 3U, 8U, 31U, 32U, 33U, 427U}) {
      Device device(geometry);
      ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
      EXPECT_EQ(install(device.store, make_image(1), piece), FT_FLASH_OK);
      EXPECT_EQ(device.running(), 1);
      EXPECT_EQ(device.flash.violations(), 0);
    }
}

// More commits than both pages of the log hold.
TEST(Flash, AlternatesSlotsThroughManyPagesOfTheLog) {
  for (const Geometry& geometry : kGeometries) {
    Device device(geometry);
    ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
    for (uint32_t version = 1; version <= 150; ++version) {
      ASSERT_EQ(install(device.store, make_image(version)), FT_FLASH_OK);
      ASSERT_EQ(device.running(), static_cast<int>(version));
      if (version % 3 == 0) {
        ASSERT_EQ(device.open(), FT_FLASH_OK);
      }
      ASSERT_EQ(device.running(), static_cast<int>(version));
    }
    EXPECT_EQ(device.flash.violations(), 0);
  }
}

TEST(Flash, RefusesForeignImagesAndKeepsTheAdapter) {
  Device device;
  ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
  ASSERT_EQ(install(device.store, make_image(5)), FT_FLASH_OK);
  const auto refused = [&](const std::vector<uint8_t>& image) {
    const ft_flash_status status = install(device.store, image);
    EXPECT_EQ(device.running(), 5);
    EXPECT_EQ(device.open(), FT_FLASH_OK);
    EXPECT_EQ(device.running(), 5);
    return status;
  };
  EXPECT_EQ(refused(make_image(6, {.other_base = true})), FT_FLASH_WRONG_BASE);
  EXPECT_EQ(refused(make_image(6, {.other_plan = true})), FT_FLASH_WRONG_PLAN);
  EXPECT_EQ(refused(make_image(6, {.kind = FT_IMAGE_STATE})),
            FT_FLASH_WRONG_KIND);
  EXPECT_EQ(refused(make_image(6, {.payload_bytes = 299})),
            FT_FLASH_WRONG_LENGTH);
  EXPECT_EQ(refused(make_image(6, {.payload_bytes = 4000})),
            FT_FLASH_TOO_LARGE);
  EXPECT_EQ(refused(make_image(6, {.number = 1})), FT_FLASH_WRONG_NUMBER);
  EXPECT_EQ(refused(make_image(4)), FT_FLASH_OLDER_VERSION);
  auto lies = make_image(6, {.payload_bytes = 4000});
  lies.resize(FT_IMAGE_HEADER_BYTES + kAdapterBytes);
  EXPECT_EQ(refused(lies), FT_FLASH_WRONG_LENGTH);
  auto noise = make_image(6);
  noise[0] = 'G';
  EXPECT_EQ(refused(noise), FT_FLASH_NOT_AN_IMAGE);
  noise = make_image(6);
  noise[84] ^= 1;
  EXPECT_EQ(refused(noise), FT_FLASH_BAD_HEADER_CRC);
  noise = make_image(6);
  noise.back() ^= 1;
  EXPECT_EQ(refused(noise), FT_FLASH_BAD_PAYLOAD_CRC);
  noise = make_image(6);
  noise[76] = 9;
  renew_header_crc(noise);
  EXPECT_EQ(refused(noise), FT_FLASH_BAD_FORMAT);
}

TEST(Flash, RefusesUnsignedAndWronglySignedImages) {
  const KeyPair ours = make_keys(1), theirs = make_keys(2);
  Device device;
  device.config.public_key = ours.public_key.data();
  device.config.verify = ft_ed25519_verify;
  device.config.verify_at_open = 1;
  const auto image = [](uint32_t version, const KeyPair& keys) {
    return make_image(version, {.secret_key = keys.secret_key.data()});
  };
  ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
  ASSERT_EQ(install(device.store, image(3, ours)), FT_FLASH_OK);
  EXPECT_EQ(install(device.store, make_image(4)), FT_FLASH_UNSIGNED);
  EXPECT_EQ(install(device.store, image(4, theirs)), FT_FLASH_BAD_SIGNATURE);
  // What is signed is all that counts: version, hashes, lengths, values.
  const size_t value = FT_IMAGE_HEADER_BYTES + 80;
  for (const size_t at :
       {size_t{8}, size_t{60}, size_t{71}, size_t{84}, value}) {
    auto changed = image(4, ours);
    changed[at] ^= 2;
    const uint32_t crc = ft_crc32(0, changed.data() + 128, kAdapterBytes);
    for (size_t i = 0; i < 4; ++i)
      changed[88 + i] = static_cast<uint8_t>(crc >> (8 * i));
    renew_header_crc(changed);
    EXPECT_EQ(install(device.store, changed), FT_FLASH_BAD_SIGNATURE) << at;
  }
  EXPECT_EQ(device.running(), 3);
  EXPECT_EQ(install(device.store, image(4, ours)), FT_FLASH_OK);
  EXPECT_EQ(device.running(), 4);
  EXPECT_EQ(device.open(), FT_FLASH_OK);
  EXPECT_EQ(device.running(), 4);
}

TEST(Flash, NeverTakesAnOlderVersionWhateverIsDamaged) {
  Device device;
  ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
  ASSERT_EQ(install(device.store, make_image(1)), FT_FLASH_OK);
  ASSERT_EQ(install(device.store, make_image(7)), FT_FLASH_OK);
  // The payload of version 7 (slot 1) rots: 1 runs, but 6 is not taken.
  device.flash.flip((2 * 128 + device.config.slot_bytes + 200) * 8);
  EXPECT_EQ(device.open(), FT_FLASH_PREVIOUS);
  EXPECT_EQ(device.running(), 1);
  EXPECT_EQ(ft_flash_highest_version(&device.store), 7U);
  EXPECT_EQ(install(device.store, make_image(6)), FT_FLASH_OLDER_VERSION);
  EXPECT_EQ(device.open(), FT_FLASH_PREVIOUS);
  EXPECT_EQ(device.running(), 1);
  EXPECT_EQ(install(device.store, make_image(7)), FT_FLASH_OK);
  EXPECT_EQ(device.open(), FT_FLASH_OK);
  EXPECT_EQ(device.running(), 7);
  // Both rot: the base alone, and the counter still stands.
  device.flash.flip((2 * 128 + 150) * 8);
  device.flash.flip((2 * 128 + device.config.slot_bytes + 150) * 8);
  EXPECT_EQ(device.open(), FT_FLASH_DAMAGED);
  EXPECT_EQ(ft_flash_adapter(&device.store), nullptr);
  EXPECT_EQ(install(device.store, make_image(6)), FT_FLASH_OLDER_VERSION);
  EXPECT_EQ(install(device.store, make_image(8)), FT_FLASH_OK);
  EXPECT_EQ(device.running(), 8);
}

TEST(Flash, SwapsAdaptersOfOneVersionOnly) {
  Device device;
  ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
  EXPECT_EQ(ft_flash_swap(&device.store), FT_FLASH_BAD_CALL);
  ASSERT_EQ(install(device.store, make_image(2)), FT_FLASH_OK);
  EXPECT_EQ(ft_flash_other_adapter(&device.store), nullptr);
  ASSERT_EQ(install(device.store, make_image(2)), FT_FLASH_OK);
  const uint8_t* other = ft_flash_other_adapter(&device.store);
  ASSERT_NE(other, nullptr);
  EXPECT_NE(other, ft_flash_adapter(&device.store));
  EXPECT_EQ(ft_flash_swap(&device.store), FT_FLASH_OK);
  EXPECT_EQ(ft_flash_adapter(&device.store), other);
  EXPECT_EQ(ft_flash_swap(&device.store), FT_FLASH_OK);
  EXPECT_EQ(ft_flash_swap(&device.store), FT_FLASH_OK);
  EXPECT_EQ(device.open(), FT_FLASH_OK);
  EXPECT_EQ(ft_flash_adapter(&device.store), other);
  ASSERT_EQ(install(device.store, make_image(3)), FT_FLASH_OK);
  EXPECT_EQ(ft_flash_swap(&device.store), FT_FLASH_OLDER_VERSION);
  EXPECT_EQ(device.running(), 3);
}

// With an adapter or without, through full pages of the log.
TEST(Flash, KeepsTheSelectedNumber) {
  for (const Geometry& geometry : kGeometries) {
    Device device(geometry);
    ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
    EXPECT_EQ(ft_flash_selected(&device.store), 0U);
    for (uint32_t number = 1; number < 80; ++number) {
      ASSERT_EQ(ft_flash_select(&device.store, number), FT_FLASH_OK);
      if (number == 40) {
        ASSERT_EQ(install(device.store, make_image(3)), FT_FLASH_OK);
      }
      ASSERT_EQ(device.open(), number < 40 ? FT_FLASH_NO_ADAPTER : FT_FLASH_OK);
      ASSERT_EQ(ft_flash_selected(&device.store), number);
      ASSERT_EQ(device.running(), number < 40 ? 0 : 3);
    }
    const uint64_t worked = device.flash.worked();
    EXPECT_EQ(ft_flash_select(&device.store, 79), FT_FLASH_OK);
    EXPECT_EQ(device.flash.worked(), worked);
    EXPECT_EQ(device.flash.violations(), 0);
  }
}

// Two stores one behind the other keep out of each other's pages.
TEST(Flash, MayLieBehindAnother) {
  ft_flash_config configs[2] = {test_config(kGeometries[1]),
                                test_config(kGeometries[1])};
  const uint32_t region = ft_flash_region_bytes(&configs[0]);
  SimFlash flash(2 * region, kGeometries[1].page_bytes,
                 kGeometries[1].program_bytes);
  ft_flash stores[2];
  configs[1].offset = region;
  configs[1].number = 1;
  for (uint32_t i = 0; i < 2; ++i) {
    configs[i].driver = flash.driver();
    ASSERT_EQ(ft_flash_open(&stores[i], &configs[i]), FT_FLASH_NO_ADAPTER);
  }
  for (uint32_t version = 1; version < 30; ++version)
    for (uint32_t i = 0; i < 2; ++i) {
      const uint32_t own = 2 * version + i;
      ASSERT_EQ(install(stores[i], make_image(own, {.number = i})),
                FT_FLASH_OK);
      ASSERT_EQ(save(stores[i], own), FT_FLASH_OK);
      ASSERT_EQ(ft_flash_open(&stores[0], &configs[0]), FT_FLASH_OK);
      ASSERT_EQ(running_adapter(stores[i], 60), static_cast<int>(own));
    }
  EXPECT_EQ(running_adapter(stores[0], 60), 58);
  EXPECT_EQ(flash.violations(), 0);
  configs[1].offset = region + 4;
  EXPECT_EQ(ft_flash_open(&stores[1], &configs[1]), FT_FLASH_BAD_LAYOUT);
}

TEST(Flash, ResumesTheNewestStateOfTheRunningAdapter) {
  for (const Geometry& geometry : kGeometries) {
    Device device(geometry);
    const uint8_t* state = nullptr;
    ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
    ASSERT_EQ(install(device.store, make_image(1)), FT_FLASH_OK);
    EXPECT_EQ(ft_flash_load_state(&device.store, &state), FT_FLASH_NO_STATE);
    for (uint32_t number = 1; number < 9; ++number) {
      ASSERT_EQ(save(device.store, number), FT_FLASH_OK);
      ASSERT_EQ(device.open(), FT_FLASH_OK);
      ASSERT_EQ(ft_flash_load_state(&device.store, &state), FT_FLASH_OK);
      const auto expected = state_values(number);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), state));
    }
    ASSERT_EQ(install(device.store, make_image(2)), FT_FLASH_OK);
    EXPECT_EQ(ft_flash_load_state(&device.store, &state), FT_FLASH_STALE_STATE);
    EXPECT_EQ(state, nullptr);
    EXPECT_EQ(device.flash.violations(), 0);
  }
}

TEST(Flash, RefusesContradictoryLayoutsAndCalls) {
  const auto layout = [](auto change) {
    Device device;
    change(device.config);
    return device.open();
  };
  using Config = ft_flash_config;
  EXPECT_EQ(layout([](Config&) {}), FT_FLASH_NO_ADAPTER);
  for (const uint32_t page : {0U, 64U, 192U})
    EXPECT_EQ(layout([&](Config& c) { c.page_bytes = page; }),
              FT_FLASH_BAD_LAYOUT);
  for (const uint32_t unit : {0U, 3U, 64U})
    EXPECT_EQ(layout([&](Config& c) { c.program_bytes = unit; }),
              FT_FLASH_BAD_LAYOUT);
  for (const uint32_t slot : {0U, 100U, 256U, 500U, 0xFFFFFF80U})
    EXPECT_EQ(layout([&](Config& c) { c.slot_bytes = slot; }),
              FT_FLASH_BAD_LAYOUT);
  EXPECT_EQ(layout([](Config& c) { c.state_slots = 1; }), FT_FLASH_BAD_LAYOUT);
  EXPECT_EQ(layout([](Config& c) { c.state_slots = 33; }), FT_FLASH_BAD_LAYOUT);
  EXPECT_EQ(layout([](Config& c) { c.state_bytes = 1000; }),
            FT_FLASH_BAD_LAYOUT);
  const uint8_t key[32] = {};
  EXPECT_EQ(layout([&](Config& c) { c.public_key = key; }),
            FT_FLASH_BAD_LAYOUT);

  Device device;
  ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
  EXPECT_EQ(ft_flash_end(&device.store), FT_FLASH_BAD_CALL);
  EXPECT_EQ(ft_flash_write(&device.store, key, 1), FT_FLASH_BAD_CALL);
  const auto image = make_image(1);
  const auto bytes = static_cast<uint32_t>(image.size());
  ASSERT_EQ(ft_flash_begin(&device.store, bytes), FT_FLASH_OK);
  ASSERT_EQ(ft_flash_write(&device.store, image.data(), bytes - 1),
            FT_FLASH_OK);
  EXPECT_EQ(ft_flash_end(&device.store), FT_FLASH_WRONG_LENGTH);
  ASSERT_EQ(ft_flash_begin(&device.store, bytes), FT_FLASH_OK);
  ASSERT_EQ(ft_flash_write(&device.store, image.data(), bytes), FT_FLASH_OK);
  EXPECT_EQ(ft_flash_write(&device.store, image.data(), 1),
            FT_FLASH_WRONG_LENGTH);
  EXPECT_EQ(ft_flash_end(&device.store), FT_FLASH_BAD_CALL);
  const ft_flash_part part = {key, 32};
  EXPECT_EQ(ft_flash_save_state(&device.store, &part, 1),
            FT_FLASH_WRONG_LENGTH);
  device.config.state_slots = 0;
  EXPECT_EQ(save(device.store, 1), FT_FLASH_BAD_LAYOUT);
}

// Every single bit of the region, in use or not.
TEST(Flash, SurvivesAFlippedBitAnywhere) {
  Device device;
  ASSERT_EQ(device.open(), FT_FLASH_NO_ADAPTER);
  ASSERT_EQ(install(device.store, make_image(1)), FT_FLASH_OK);
  ASSERT_EQ(install(device.store, make_image(2)), FT_FLASH_OK);
  ASSERT_EQ(save(device.store, 1), FT_FLASH_OK);
  ASSERT_EQ(save(device.store, 2), FT_FLASH_OK);
  const uint32_t newest = 2 * 128 + device.config.slot_bytes;  // slot 1
  const uint32_t image_bytes = FT_IMAGE_HEADER_BYTES + kAdapterBytes;
  const auto first = state_values(1), second = state_values(2);
  for (uint32_t bit = 0; bit < device.flash.bytes().size() * 8; ++bit) {
    device.flash.flip(bit);
    const ft_flash_status status = device.open();
    const bool hit = bit / 8 >= newest && bit / 8 < newest + image_bytes;
    ASSERT_EQ(status, hit ? FT_FLASH_PREVIOUS : FT_FLASH_OK) << bit;
    ASSERT_EQ(device.running(), hit ? 1 : 2) << bit;
    ASSERT_EQ(ft_flash_highest_version(&device.store), 2U) << bit;
    const uint8_t* state = nullptr;
    const ft_flash_status resumed = ft_flash_load_state(&device.store, &state);
    ASSERT_EQ(resumed, hit ? FT_FLASH_STALE_STATE : FT_FLASH_OK) << bit;
    const bool whole =
        state && (std::equal(second.begin(), second.end(), state) ||
                  std::equal(first.begin(), first.end(), state));
    ASSERT_EQ(whole, !hit) << bit;
    device.flash.flip(bit);
  }
}

TEST(Flash, NamesEveryStatus) {
  for (int s = FT_FLASH_OK; s <= FT_FLASH_WRITE_FAILED; ++s)
    EXPECT_STRNE(ft_flash_status_text(static_cast<ft_flash_status>(s)),
                 "unknown status");
}

}  // namespace
}  // namespace ft::test
