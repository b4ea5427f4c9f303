#include "plan/kernel_costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <vector>

#include "plan/kernel_costs_table.h"

namespace ft {
namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

double number(std::string_view word) {
  double value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}

// "TARGET KEY SAMPLES ERROR" and a number for each of CallWork::terms()
using AllCosts = std::map<std::string, KernelCosts, std::less<>>;
AllCosts read_table(std::string_view text) {
  AllCosts all;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.size() != 4 + kCostTerms || words[0] == "#") continue;
    KernelCost cost{.samples = static_cast<int>(number(words[2])),
                    .error = number(words[3])};
    for (size_t i = 0; i < cost.units.size(); ++i)
      cost.units[i] = number(words[4 + i]);
    all[std::string(words[0])][std::string(words[1])] = cost;
  }
  return all;
}

const KernelCost* find(const KernelCosts& costs, std::string_view key) {
  const auto found = costs.find(key);
  return found == costs.end() ? nullptr : &found->second;
}

}  // namespace

double KernelCost::of(const CallWork& work) const {
  const CostTerms terms = work.terms();
  return std::inner_product(units.begin(), units.end(), terms.begin(), 0.0);
}

const KernelCosts& kernel_costs(std::string_view target) {
  static const AllCosts all = read_table(kernel_costs_table());
  static const KernelCosts none;
  const auto found = all.find(target);
  return found == all.end() ? none : found->second;
}

std::string class_key(CostClass cost_class, std::string_view signature) {
  const size_t end = std::min(signature.find_first_of(",-"), signature.size());
  return fmt::format("{}/{}", name_of(cost_class), signature.substr(0, end));
}

std::optional<KernelCost> find_cost(const KernelCosts& own,
                                    const KernelCosts& shared,
                                    const KernelDef& kernel,
                                    CostClass cost_class,
                                    std::string_view variant) {
  const std::string by_work = fmt::format("{}{}", kernel.symbol, variant);
  const std::string by_type = class_key(cost_class, kernel.signature);
  const std::string by_class(name_of(cost_class));
  for (const std::string_view key :
       {std::string_view(by_work), kernel.symbol, std::string_view(by_type),
        std::string_view(by_class)})
    for (const KernelCosts* costs : {&own, &shared})
      if (const KernelCost* cost = find(*costs, key)) {
        KernelCost result = *cost;
        result.fitted = key.starts_with(kernel.symbol);
        return result;
      }
  return std::nullopt;
}

}  // namespace ft
