#include "adapters/device_image.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "ft_crc32.h"
#include "ft_image.h"

namespace ft {
namespace {

static_assert(FT_IMAGE_SIGNATURE_BYTES == crypto_sign_BYTES);

const uint8_t* data(std::span<const std::byte> bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

ft_image fields_of(const DeviceImage& image, bool is_signed) {
  ft_image fields = {
      .kind = static_cast<uint8_t>(image.kind),
      .flags = static_cast<uint8_t>(is_signed ? FT_IMAGE_SIGNED : 0),
      .payload_bytes = static_cast<uint32_t>(image.payload.size()),
      .version = image.version,
      .payload_crc = ft_crc32(0, data(image.payload), image.payload.size()),
      .parent = image.parent,
      .base_hash = {},
      .plan_hash = {},
      .header_crc = 0};
  std::ranges::copy(image.base_hash, fields.base_hash);
  std::ranges::copy(image.plan_hash, fields.plan_hash);
  return fields;
}

}  // namespace

Result<HashPrefix> hash_prefix(const std::string& sha256) {
  std::array<uint8_t, crypto_hash_sha256_BYTES> bytes;
  size_t count = 0;
  if (sodium_hex2bin(bytes.data(), bytes.size(), sha256.data(), sha256.size(),
                     nullptr, &count, nullptr) != 0 ||
      count != bytes.size() || sha256.size() != 2 * bytes.size())
    return internal_error("'" + sha256 + "' is not a SHA-256 in hex");
  HashPrefix prefix;
  std::copy_n(bytes.begin(), prefix.size(), prefix.begin());
  return prefix;
}

Result<std::vector<std::byte>> encode_device_image(const DeviceImage& image,
                                                   const SigningKey* key) {
  if (image.payload.size() > std::numeric_limits<uint32_t>::max())
    return does_not_fit(fmt::format(
        "a device image holds less than 4 GB; this adapter has {} bytes",
        image.payload.size()));
  const ft_image fields = fields_of(image, key != nullptr);
  std::vector<std::byte> bytes(FT_IMAGE_HEADER_BYTES);
  auto* header = reinterpret_cast<uint8_t*>(bytes.data());
  ft_image_encode(&fields, nullptr, header);
  bytes.insert(bytes.end(), image.payload.begin(), image.payload.end());
  if (key != nullptr) {
    const auto signature =
        key->sign(std::span(bytes).subspan(FT_IMAGE_SIGNED_OFFSET));
    header = reinterpret_cast<uint8_t*>(bytes.data());
    ft_image_encode(&fields, signature.data(), header);
  }
  return bytes;
}

Result<DeviceImage> decode_device_image(std::span<const std::byte> file,
                                        const std::string& origin) {
  if (file.size() < FT_IMAGE_HEADER_BYTES)
    return invalid_input(
        fmt::format("'{}': {} bytes are fewer than the {} of a device image's "
                    "header",
                    origin, file.size(), FT_IMAGE_HEADER_BYTES));
  ft_image fields;
  const ft_flash_status status = ft_image_decode(data(file), &fields);
  if (status != FT_FLASH_OK)
    return invalid_input(
        fmt::format("'{}': {}", origin, ft_flash_status_text(status)));
  DeviceImage image;
  image.payload = file.subspan(FT_IMAGE_HEADER_BYTES);
  if (image.payload.size() != fields.payload_bytes)
    return invalid_input(fmt::format(
        "'{}': the header promises {} bytes of payload, the file has {}",
        origin, fields.payload_bytes, image.payload.size()));
  image.payload_crc32 = ft_crc32(0, data(image.payload), image.payload.size());
  if (image.payload_crc32 != fields.payload_crc)
    return invalid_input(fmt::format(
        "'{}': {}", origin, ft_flash_status_text(FT_FLASH_BAD_PAYLOAD_CRC)));
  image.kind = static_cast<DeviceImage::Kind>(fields.kind);
  image.version = fields.version;
  image.parent = fields.parent;
  image.is_signed = (fields.flags & FT_IMAGE_SIGNED) != 0;
  image.header_crc32 = fields.header_crc;
  std::ranges::copy(fields.base_hash, image.base_hash.begin());
  std::ranges::copy(fields.plan_hash, image.plan_hash.begin());
  return image;
}

bool is_device_image(std::span<const std::byte> file) {
  constexpr std::string_view kMagic = "FTDI";
  return file.size() >= kMagic.size() &&
         std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
}

Status check_signature(std::span<const std::byte> file, const PublicKey& key,
                       const std::string& origin) {
  FT_TRY(const DeviceImage image, decode_device_image(file, origin));
  if (!image.is_signed)
    return invalid_input(fmt::format("'{}': the image is not signed", origin));
  const auto message = file.subspan(FT_IMAGE_SIGNED_OFFSET);
  if (crypto_sign_verify_detached(data(file) + FT_IMAGE_SIGNATURE_OFFSET,
                                  data(message), message.size(),
                                  key.data()) != 0)
    return invalid_input(fmt::format(
        "'{}': the signature is not by the owner of this public key", origin));
  return ok_status();
}

}  // namespace ft
