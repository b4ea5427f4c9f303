// The tokenizer that llama2.c reads beside a checkpoint (tokenizer.bin,
// tok512.bin): SentencePiece's byte pair encoding, exported.
//
// Layout: int32 longest token in bytes; then for each token a float32 score, an
// int32 length and the bytes. Tokens 0, 1, 2 are unknown, begin and end; tokens
// 3 ... 258 are the bytes "<0x00>" ... "<0xFF>".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "formats/transformer/tokenizer.h"

namespace ft {

class Llama2cTokenizer : public Tokenizer {
 public:
  // Any bytes give a tokenizer of `vocab_size` tokens or one sentence.
  static Result<Llama2cTokenizer> parse(std::span<const std::byte> bytes,
                                        int64_t vocab_size);

  std::vector<int> encode(std::string_view text) const override;
  std::string decode(std::span<const int> tokens) const override;
  size_t vocab_size() const override { return tokens_.size(); }

 private:
  struct Token {
    std::string text;
    float score = 0;
  };
  std::vector<int> characters(std::string_view text) const;
  int find(std::string_view text) const;  // -1: there is none

  std::vector<Token> tokens_;
  std::unordered_map<std::string, int> by_text_;
};

}  // namespace ft
