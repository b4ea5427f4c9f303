// Fields of JSON objects that come from callers: each is of its type and
// range, or the sentence says which is not. Unknown fields are refused, so that
// a misspelt one is not overlooked.
#pragma once

#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ft::service {

using Input = nlohmann::json;

// One object; an empty text is one without fields. Deeper, or of more parts,
// than a request can be is refused before it is parsed; so is a field that is
// there twice, of which each reader could take another.
Result<Input> parse_object(std::string_view text);

class Fields {
 public:
  // `object` must outlive it. Fails on fields that are not among `known`.
  static Result<Fields> of(const Input& object,
                           std::initializer_list<std::string_view> known);

  bool has(const char* name) const { return object_->contains(name); }
  // Nothing where there is no such field.
  Result<std::optional<std::string>> text(const char* name) const;
  Result<std::optional<bool>> flag(const char* name) const;
  Result<std::optional<int64_t>> whole(const char* name, int64_t low,
                                       int64_t high) const;
  Result<std::optional<double>> number(const char* name) const;
  Result<std::vector<std::string>> texts(const char* name) const;
  // Finite as float32, too. Fails where there is no such field.
  Result<std::vector<float>> floats(const char* name) const;

 private:
  explicit Fields(const Input& object) : object_(&object) {}
  const Input* find(const char* name) const;
  const Input* object_;
};

}  // namespace ft::service
