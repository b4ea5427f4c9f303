// Named settings of a node: integers, reals, integer lists and words.
//
// Kept sorted by name so that printing and hashing are stable. Ops read their
// attributes with a default, so files of an older version stay valid.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ft {

using Attr = std::variant<int64_t, double, std::vector<int64_t>, std::string>;

class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, Attr>> attrs);

  void set(std::string_view name, Attr value);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // The value under `name`, or the default where there is none. A value of
  // another type than asked is our bug and aborts.
  int64_t get_int(std::string_view name, int64_t fallback = 0) const;
  int get_i(std::string_view name, int fallback = 0) const {
    return static_cast<int>(get_int(name, fallback));
  }
  double get_real(std::string_view name, double fallback = 0) const;
  std::vector<int64_t> get_ints(std::string_view name) const;
  std::string get_word(std::string_view name,
                       std::string_view fallback = "") const;
  const std::vector<std::pair<std::string, Attr>>& all() const {
    return attrs_;
  }
  std::string to_string() const;  // "{axis=-1, keep_dims=0}"
  bool operator==(const Attrs&) const = default;

 private:
  const Attr* find(std::string_view name) const;
  std::vector<std::pair<std::string, Attr>> attrs_;
};

}  // namespace ft
