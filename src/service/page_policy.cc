#include <sodium.h>

#include <array>
#include <vector>

#include "service/page.h"

namespace ft::service {
namespace {

// 'sha256-<base64>' of what stands between <tag> and </tag>.
std::string hash_of(std::string_view tag) {
  const std::string_view page = page_html();
  const std::string begin = "<" + std::string(tag) + ">",
                    end = "</" + std::string(tag) + ">";
  const size_t from = page.find(begin) + begin.size();
  const std::string_view text = page.substr(from, page.find(end, from) - from);
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(),
                     reinterpret_cast<const unsigned char*>(text.data()),
                     text.size());
  constexpr int kVariant = sodium_base64_VARIANT_ORIGINAL;
  std::vector<char> base64(sodium_base64_encoded_len(digest.size(), kVariant));
  sodium_bin2base64(base64.data(), base64.size(), digest.data(), digest.size(),
                    kVariant);
  return "'sha256-" + std::string(base64.data()) + "'";
}

}  // namespace

const std::string& page_policy() {
  static const std::string policy =
      "default-src 'none'; style-src " + hash_of("style") + "; script-src " +
      hash_of("script") +
      "; connect-src 'self'; img-src data:; base-uri 'none'; form-action "
      "'none'; frame-ancestors 'none'";
  return policy;
}

}  // namespace ft::service
