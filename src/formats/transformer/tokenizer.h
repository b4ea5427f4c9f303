// Text to the token ids of a language model and back.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ft {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Begins with the model's begin-of-text token. Any bytes have tokens.
  virtual std::vector<int> encode(std::string_view text) const = 0;
  // Ids must lie in the vocabulary; those without text decode to nothing.
  virtual std::string decode(std::span<const int> tokens) const = 0;
  virtual size_t vocab_size() const = 0;
};

}  // namespace ft
