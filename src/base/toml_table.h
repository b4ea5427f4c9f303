// A TOML file that a person wrote. Every key that is missing, of the wrong
// type, out of its range or unknown is a problem with file and line; the first
// one wins (what is there before what is missing: that may be misspelt), and
// reading goes on with some value, so that a reader asks once, at its end:
//
//   FT_TRY(TomlFile file, TomlFile::parse(text, path));
//   TomlTable root = file.root();
//   int64_t epochs = root.whole("epochs", 1);
//   root.read("momentum", momentum);  // as it is where there is none
//   root.done();                      // refuses keys that nobody asked for
//   FT_TRY_STATUS(file.status());
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#define TOML_EXCEPTIONS 0
// The parser asserts that a table's name begins with a character of a key and
// then says that it does not: "[[[" would end the process.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

namespace ft {

class TomlTable;

class TomlFile {
 public:
  // kInvalidInput with the line where it is no TOML.
  static Result<TomlFile> parse(std::string_view text, std::string_view source);

  TomlTable root() const;
  const Status& status() const { return state_->status; }

 private:
  friend class TomlTable;
  struct State {
    toml::table root;
    std::string source;
    Status status;
    bool is_missing = false;  // the problem is a key that is not there
    // Keys that were asked for.
    std::map<const toml::table*, std::set<std::string, std::less<>>> asked;
  };
  std::shared_ptr<State> state_;
};

class TomlTable {
 public:
  static constexpr double kMost = 1e18;  // of any figure

  bool has(std::string_view key) { return find(key) != nullptr; }

  // Keys that must be there.
  std::string text(std::string_view key);
  bool flag(std::string_view key);
  int64_t whole(std::string_view key, int64_t least = 0,
                int64_t most = std::numeric_limits<int64_t>::max());
  double number(std::string_view key, double least = 0, double most = kMost);
  std::string one_of(std::string_view key,
                     std::initializer_list<const char*> names);
  std::vector<std::string> texts(std::string_view key);
  std::vector<double> numbers(std::string_view key, double least = 0);
  TomlTable table(std::string_view key);
  std::vector<TomlTable> tables(std::string_view key);  // [[key]]

  // Keys that may be left out: `out` stays as it is.
  void read(std::string_view key, bool& out);
  void read(std::string_view key, int32_t& out);
  void read(std::string_view key, float& out);
  void read(std::string_view key, std::string& out);
  void read(std::string_view key, std::vector<std::string>& out);
  void read(std::string_view key, std::vector<float>& out);

  // Keys that it may have and that are not read.
  void know(std::initializer_list<const char*> keys);
  // A key that nobody asked for, or know()s, is a problem.
  void done();

  // "'key' must be `what`", at its line or, without one, the table's.
  void fail(std::string_view key, std::string_view what);
  // The same with a sentence of the caller's.
  void refuse(std::string_view key, std::string_view sentence);
  void refuse(const toml::node& at, std::string_view sentence);

  const toml::table& raw() const { return *table_; }

 private:
  friend class TomlFile;
  TomlTable(const toml::table& table, std::shared_ptr<TomlFile::State> file,
            std::string path)
      : table_(&table), file_(std::move(file)), path_(std::move(path)) {}

  const toml::node* find(std::string_view key);
  template <class T>
  T exactly(std::string_view key, const char* what);
  template <class T, class Take>
  std::vector<T> list(std::string_view key, const char* what, const Take& take);

  const toml::table* table_;
  std::shared_ptr<TomlFile::State> file_;
  std::string path_;  // "costs.": messages name keys by it
};

}  // namespace ft
