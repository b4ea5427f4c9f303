#include "formats/llama2c/tokenizer.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <queue>

namespace ft {
namespace {

constexpr int kBegin = 1, kEnd = 2;
constexpr int kFirstByte = 3, kBytes = 256;

template <class T>
T read_as(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// Length in bytes of the character at the start of `text`; like the C code that
// defines this format, a lead byte takes up to three continuation bytes.
size_t character_length(std::string_view text) {
  size_t n = 1;
  while (n < text.size() && n < 4 &&
         (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80)
    ++n;
  return n;
}

// Two neighbours that the vocabulary has a token for. `tokens` tells a pair
// that has changed since it was queued.
struct Pair {
  float score;
  int left, right;  // places
  int left_token, right_token;
  int merged;
};

// The best score first, and the leftmost of equals.
struct Later {
  bool operator()(const Pair& a, const Pair& b) const {
    return a.score != b.score ? a.score < b.score : a.left > b.left;
  }
};

// A doubly linked list over the places of the initial tokens.
struct Place {
  int token;          // -1: merged into its left neighbour
  int before, after;  // -1: none
};

}  // namespace

Result<Llama2cTokenizer> Llama2cTokenizer::parse(
    std::span<const std::byte> bytes, int64_t vocab_size) {
  constexpr size_t kEntry = sizeof(float) + sizeof(int32_t);
  if (vocab_size < kFirstByte + kBytes)
    return invalid_input(fmt::format(
        "a vocabulary of {} tokens has no room for the {} of single bytes",
        vocab_size, kBytes));
  Llama2cTokenizer t;
  size_t at = sizeof(int32_t);
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (bytes.size() < at + kEntry)
      return invalid_input(
          fmt::format("token {} of {} is missing", id, vocab_size));
    const auto score = read_as<float>(bytes, at);
    const auto length = read_as<int32_t>(bytes, at + sizeof(float));
    at += kEntry;
    if (length < 0 || static_cast<size_t>(length) > bytes.size() - at ||
        !std::isfinite(score))
      return invalid_input(
          fmt::format("token {} has length {} and score {}, {} bytes are left",
                      id, length, score, bytes.size() - at));
    std::string text(reinterpret_cast<const char*>(bytes.data() + at),
                     static_cast<size_t>(length));
    at += static_cast<size_t>(length);
    // Of equal texts the first counts.
    t.by_text_.emplace(text, static_cast<int>(id));
    t.tokens_.push_back({std::move(text), score});
  }
  if (at != bytes.size())
    return invalid_input(fmt::format("{} bytes follow the last of {} tokens",
                                     bytes.size() - at, vocab_size));
  return t;
}

int Llama2cTokenizer::find(std::string_view text) const {
  const auto at = by_text_.find(std::string(text));
  return at == by_text_.end() ? -1 : at->second;
}

// One token a character, or one for each of its bytes where there is none. Text
// that is not empty begins with a space, as SentencePiece adds one.
std::vector<int> Llama2cTokenizer::characters(std::string_view text) const {
  std::vector<int> ids;
  if (const int space = find(" "); !text.empty() && space >= 0)
    ids.push_back(space);
  for (size_t i = 0; i < text.size();) {
    const std::string_view character =
        text.substr(i, character_length(text.substr(i)));
    i += character.size();
    const int id = find(character);
    if (id >= 0) {
      ids.push_back(id);
      continue;
    }
    for (const char c : character)
      ids.push_back(kFirstByte + static_cast<unsigned char>(c));
  }
  return ids;
}

std::vector<int> Llama2cTokenizer::encode(std::string_view text) const {
  std::vector<Place> places;
  for (const int id : characters(text)) {
    const auto i = static_cast<int>(places.size());
    places.push_back({id, i - 1, i + 1});
  }
  if (!places.empty()) places.back().after = -1;
  const auto place = [&places](int i) -> Place& {
    return places[static_cast<size_t>(i)];
  };
  const auto text_of = [this](int id) -> const std::string& {
    return tokens_[static_cast<size_t>(id)].text;
  };
  std::priority_queue<Pair, std::vector<Pair>, Later> queue;
  const auto offer = [&](int left) {
    if (left < 0 || place(left).after < 0) return;
    const int right = place(left).after;
    const int a = place(left).token, b = place(right).token;
    const int merged = find(text_of(a) + text_of(b));
    if (merged >= 0)
      queue.push({tokens_[static_cast<size_t>(merged)].score, left, right, a, b,
                  merged});
  };
  for (int i = 0; i + 1 < static_cast<int>(places.size()); ++i) offer(i);
  while (!queue.empty()) {
    const Pair pair = queue.top();
    queue.pop();
    Place& left = place(pair.left);
    Place& right = place(pair.right);
    if (left.token != pair.left_token || left.after != pair.right ||
        right.token != pair.right_token)
      continue;
    left.token = pair.merged;
    left.after = right.after;
    right.token = -1;
    if (left.after >= 0) place(left.after).before = pair.left;
    offer(left.before);
    offer(pair.left);
  }
  std::vector<int> ids{kBegin};
  for (const Place& p : places)
    if (p.token >= 0) ids.push_back(p.token);
  return ids;
}

std::string Llama2cTokenizer::decode(std::span<const int> tokens) const {
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int id = tokens[i];
    if (id == kBegin || id == kEnd) continue;
    if (id >= kFirstByte && id < kFirstByte + kBytes) {
      text += static_cast<char>(id - kFirstByte);
      continue;
    }
    std::string_view piece = tokens_[static_cast<size_t>(id)].text;
    // The space that encode() put in front of the text.
    if (i > 0 && tokens[i - 1] == kBegin && piece.starts_with(' '))
      piece.remove_prefix(1);
    text += piece;
  }
  return text;
}

}  // namespace ft
