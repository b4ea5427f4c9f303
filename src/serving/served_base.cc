#include "serving/served_base.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace ft {
namespace {

constexpr const char* kAlone = "alone";

std::string mask_hash(const MethodSettings& method) {
  Sha256 hash;
  for (const auto& [module, mask] : method.masks) {
    hash.add(std::as_bytes(std::span(module)));
    hash.add(std::as_bytes(std::span(mask)));
  }
  return method.masks.empty() ? std::string() : hash.hex();
}

// All that the program depends on. A seed only gives initial values, which the
// adapter's take the place of.
std::string shape_key(std::span<const LoadedAdapter> adapters,
                      Precision precision, int seq_len, SideArithmetic sides) {
  std::string key = fmt::format("{}/{}/{}", name_of(precision), seq_len,
                                sides == SideArithmetic::kInt8 ? "int8" : "");
  for (const LoadedAdapter& a : adapters) {
    key += fmt::format("\n{:a}", a.method.weight);
    for (const auto& [name, text] : to_metadata(a.method))
      if (name != "seed") key += fmt::format("\x1f{}={}", name, text);
    key += "\x1f" + mask_hash(a.method);
  }
  return key;
}

// For batch_program.h.
PlanOptions in_node_order(PlanOptions plan) {
  plan.reorder = false;
  return plan;
}

}  // namespace

Result<ServedAdapterPtr> ServedBase::alone() {
  FT_TRY(BaseModel base,
         open_base_model(
             path_, {.dynamic_range = true, .batch = 1, .seq_len = seq_len_}));
  sha256_ = base.sha256;
  file_bytes_ = base.file_bytes;
  FT_TRY(CompiledStep step, compile_base(base.graph, plan_));
  const auto for_batch = [this](size_t samples) -> Result<CompiledStep> {
    FT_TRY(const BaseModel wide,
           open_base_model(path_, {.dynamic_range = true,
                                   .batch = static_cast<int>(samples),
                                   .seq_len = seq_len_}));
    FT_TRY_STATUS(check_unchanged(wide));
    return compile_base(wide.graph, in_node_order(plan_));
  };
  FT_TRY(auto shape, ShapeClass::create(std::move(step), nullptr, for_batch));
  auto served = std::make_shared<ServedAdapter>();
  FT_TRY(served->block, shape->new_block());
  served->shape = shape;
  const std::unique_lock lock(mutex_);
  shapes_[kAlone] = {std::move(shape), 0};
  return ServedAdapterPtr(std::move(served));
}

Status ServedBase::check_unchanged(const BaseModel& opened) const {
  if (opened.sha256 == sha256_) return ok_status();
  return invalid_input(
      fmt::format("the base model '{}' has changed since it was loaded "
                  "(sha256 {}, now {})",
                  path_, sha256_, opened.sha256));
}

Result<const BaseModel*> ServedBase::model(Precision precision, int seq_len) {
  const std::string key = fmt::format("{}/{}", name_of(precision), seq_len);
  {
    const std::unique_lock lock(mutex_);
    if (const auto at = models_.find(key); at != models_.end())
      return at->second.base.get();
  }
  FT_TRY(BaseModel opened, load_base(path_, precision, 1, seq_len));
  FT_TRY_STATUS(check_unchanged(opened));
  const size_t bytes = held_bytes(opened.graph);
  auto model = std::make_unique<BaseModel>(std::move(opened));
  const std::unique_lock lock(mutex_);
  Opened& kept =
      models_.try_emplace(key, Opened{std::move(model), bytes}).first->second;
  return kept.base.get();
}

namespace {

int seq_len_of(std::span<const LoadedAdapter> adapters, int wanted) {
  for (const LoadedAdapter& a : adapters)
    if (wanted == 0) wanted = recorded_seq_len(a.adapter);
  return wanted;
}

// An integer program's constants depend on the base alone, so that any values
// give it: those that training would start from.
Status keep_initial_values(CompiledStep&) { return ok_status(); }

}  // namespace

Result<CompiledStep> ServedBase::compile(
    const BaseModel& base, const std::vector<MethodSettings>& methods,
    const PlanOptions& plan, Precision precision, SideArithmetic sides) const {
  if (sides == SideArithmetic::kInt8)
    return compile_int8_inference(base.graph, methods, plan, precision,
                                  keep_initial_values);
  return compile_inference(base.graph, methods, plan, precision);
}

Result<std::shared_ptr<ShapeClass>> ServedBase::shape_of(
    std::span<LoadedAdapter> adapters, SideArithmetic sides) {
  for (const LoadedAdapter& a : adapters)
    FT_TRY_STATUS(check_base(a.adapter, sha256_));
  const int seq_len = seq_len_of(adapters, seq_len_);
  FT_TRY(const Precision precision, common_precision(adapters));
  const std::string key = shape_key(adapters, precision, seq_len, sides);
  if (auto shape = find_shape(key)) return shape;
  const std::unique_lock compiling(compiling_);
  if (auto shape = find_shape(key)) return shape;
  FT_TRY(const BaseModel* base, model(precision, seq_len));
  std::vector<MethodSettings> methods;
  for (LoadedAdapter& a : adapters) {
    FT_TRY_STATUS(fit_to_base(*base, a));
    methods.push_back(a.method);
  }
  FT_TRY(CompiledStep step, compile(*base, methods, plan_, precision, sides));
  const auto for_batch = [this, methods, precision, seq_len,
                          sides](size_t samples) -> Result<CompiledStep> {
    FT_TRY(const BaseModel wide,
           load_base(path_, precision, static_cast<int>(samples), seq_len));
    FT_TRY_STATUS(check_unchanged(wide));
    return compile(wide, methods, in_node_order(plan_), precision, sides);
  };
  FT_TRY(auto shape, ShapeClass::create(std::move(step), &base->graph,
                                        precision == Precision::kInteger
                                            ? ShapeClass::Compile()
                                            : for_batch));
  CompiledStep before;
  if (sides == SideArithmetic::kInt8) {
    FT_TRY(before, before_int8(base->graph, methods, precision));
  }
  std::vector<std::shared_ptr<ShapeClass>> gone;  // freed after the lock
  const std::unique_lock lock(mutex_);
  if (sides == SideArithmetic::kInt8) {
    const size_t bytes = held_bytes(before, &base->graph);
    before_[shape.get()] = {std::move(before), bytes};
  }
  shapes_[key] = {shape, ++uses_};
  gone = take_idle_shapes();
  return shape;
}

Status ServedBase::write(std::span<const LoadedAdapter> adapters,
                         const ShapeClass& shape, GuardedBuffer& block) {
  if (sides_ == SideArithmetic::kAsTrained)
    return write_adapters(adapters, shape, block);
  const CompiledStep* before = nullptr;
  {
    const std::unique_lock lock(mutex_);
    if (const auto at = before_.find(&shape); at != before_.end())
      before = &at->second.step;
  }
  if (before == nullptr)
    return internal_error("an adapter in integers is of another base");
  return write_int8_values(
      *before,
      [&](CompiledStep& step) -> Status {
        for (size_t i = 0; i < adapters.size(); ++i)
          if (adapters[i].method.weight != 0)
            FT_TRY_STATUS(install_adapter(adapters[i].adapter, step, i));
        return ok_status();
      },
      shape.program(), block.bytes());
}

Status write_adapters(std::span<const LoadedAdapter> adapters,
                      const ShapeClass& shape, GuardedBuffer& block) {
  for (size_t i = 0; i < adapters.size(); ++i)
    if (adapters[i].method.weight != 0)
      FT_TRY_STATUS(
          write_adapter(adapters[i].adapter, shape.step(), i, block.bytes()));
  return ok_status();
}

std::shared_ptr<ShapeClass> ServedBase::find_shape(const std::string& key) {
  const std::unique_lock lock(mutex_);
  const auto at = shapes_.find(key);
  if (at == shapes_.end()) return nullptr;
  at->second.last_use = ++uses_;
  return at->second.shape;
}

// Copies are made under the lock or by who has one already, so a shape that
// only the table has stays so while we look.
std::vector<std::shared_ptr<ShapeClass>> ServedBase::take_idle_shapes() {
  std::map<uint64_t, decltype(shapes_)::iterator> idle;
  for (auto at = shapes_.begin(); at != shapes_.end(); ++at)
    if (at->second.shape.use_count() == 1) idle[at->second.last_use] = at;
  std::vector<std::shared_ptr<ShapeClass>> gone;
  for (const auto& [last_use, at] : idle) {
    if (idle.size() - gone.size() <= kIdleShapes) break;
    before_.erase(at->second.shape.get());
    gone.push_back(std::move(at->second.shape));
    shapes_.erase(at);
  }
  return gone;
}

size_t ServedBase::num_shapes() const {
  const std::unique_lock lock(mutex_);
  return shapes_.size();
}

size_t ServedBase::session_bytes() const {
  const std::unique_lock lock(mutex_);
  size_t bytes = 0;
  for (const auto& [key, kept] : shapes_) bytes += kept.shape->session_bytes();
  return bytes;
}

size_t ServedBase::derived_bytes() const {
  const std::unique_lock lock(mutex_);
  size_t bytes = 0;
  for (const auto& [key, model] : models_) bytes += model.bytes;
  for (const auto& [key, kept] : shapes_) bytes += kept.shape->derived_bytes();
  for (const auto& [shape, before] : before_) bytes += before.bytes;
  return bytes;
}

}  // namespace ft
