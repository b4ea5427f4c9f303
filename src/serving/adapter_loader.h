// From a name to what runs: finds the recipe of a name (a file, a composition,
// a merged model), reads the files and fills a parameter block.
//
// Every byte that a load takes is charged first. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "serving/adapter_source.h"
#include "serving/served_base.h"

namespace ft {

struct RecipePart {
  std::string name;
  double weight = 1;
};

// What a name stands for, if not for a file.
struct Recipe {
  std::vector<RecipePart> parts;
  bool merged = false;
};

class AdapterLoader {
 public:
  using MakeRoom = std::function<Result<Charge>(size_t bytes)>;

  AdapterLoader(ServedBase& base, const AdapterSource& source)
      : base_(base), source_(source) {}

  // What files must be from now on; before the first load.
  // With a policy a store's file is not taken for another name than its own,
  // and where that refuses downgrades a name that stands for files keeps the
  // highest version that was loaded, as long as this lives and also where the
  // name is gone: an entry a name.
  void set_rules(LoadRules rules, bool has_policy) {
    rules_ = std::move(rules);
    has_policy_ = has_policy;
  }

  // kUsage where a part is not a file of the source, or weights have no
  // meaning.
  Status compose(const std::string& name, Recipe recipe);
  Status merge(const std::string& name, const std::string& source);
  // Whether there was one.
  bool remove(const std::string& name);
  bool has(const std::string& name) const;
  std::vector<std::string> names() const;
  // Compositions and merged ones with such a part.
  std::vector<std::string> made_of(
      const std::function<bool(const std::string& part)>& is_part) const;

  Result<ServedAdapterPtr> load(const std::string& name,
                                const MakeRoom& charge) const;

 private:
  Recipe recipe_of(const std::string& name) const;
  Result<LoadedAdapter> read_part(const SourceFile& found,
                                  const RecipePart& part) const;
  Result<LoadRules> rules_of(const RecipePart& part) const;
  Status note_version(const Adapter& adapter, const std::string& name,
                      const std::string& stored) const;
  Result<std::vector<LoadedAdapter>> read(const Recipe& recipe,
                                          std::vector<Charge>& files,
                                          const MakeRoom& charge) const;
  Status fill(std::vector<LoadedAdapter>& parts, ServedAdapter& served,
              const MakeRoom& charge) const;

  ServedBase& base_;
  const AdapterSource& source_;
  LoadRules rules_;
  bool has_policy_ = false;
  mutable std::shared_mutex mutex_;
  std::map<std::string, Recipe> recipes_;
  mutable std::mutex loaded_mutex_;
  // Highest versions by name, of those that stood for versions above 0 under a
  // policy that refuses downgrades.
  mutable std::map<std::string, uint64_t> loaded_;
};

}  // namespace ft
