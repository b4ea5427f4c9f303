// The base model that all adapters stand beside, and the programs made of it.
//
// The file is mapped once for each arithmetic that adapters ask for (and each
// length of sequence); programs share its constants. Shapes that no adapter in
// memory has stay for the next one, kIdleShapes of them, the last used.
// Thread-safe; compiling a new shape holds up other new shapes only.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "serving/served_adapter.h"
#include "serving/shape_class.h"
#include "train/adapted_model.h"

namespace ft {

class ServedBase {
 public:
  ServedBase(std::string path, const PlanOptions& plan, int seq_len,
             SideArithmetic sides = {})
      : path_(std::move(path)), plan_(plan), seq_len_(seq_len), sides_(sides) {}

  // The base alone, as deployed. Also the first look at the file.
  Result<ServedAdapterPtr> alone();
  // The shape of these adapters, applied in order, as this base computes them
  // or as they were trained. Refuses adapters of another base, of different
  // precisions, and compositions that the methods refuse.
  Result<std::shared_ptr<ShapeClass>> shape_of(
      std::span<LoadedAdapter> adapters) {
    return shape_of(adapters, sides_);
  }
  Result<std::shared_ptr<ShapeClass>> shape_of(
      std::span<LoadedAdapter> adapters, SideArithmetic sides);
  // Writes all adapters that have a part into a block of their shape_of().
  // Refuses missing and surplus tensors, other shapes, and values that integers
  // beside the base cannot hold.
  Status write(std::span<const LoadedAdapter> adapters, const ShapeClass& shape,
               GuardedBuffer& block);

  const std::string& path() const { return path_; }
  const PlanOptions& plan() const { return plan_; }
  const std::string& sha256() const { return sha256_; }  // once alone() is ok
  size_t num_shapes() const;
  // Each composition has a shape of its own weights, so their number has no
  // other limit.
  static constexpr size_t kIdleShapes = 16;
  size_t file_bytes() const { return file_bytes_; }
  // Of all shapes: sessions; and programs, graphs and constants beside the
  // mapped file (held_bytes.h).
  size_t session_bytes() const;
  size_t derived_bytes() const;

 private:
  // Those of mutex_; what it gives is to be freed without the lock.
  std::shared_ptr<ShapeClass> find_shape(const std::string& key);
  std::vector<std::shared_ptr<ShapeClass>> take_idle_shapes();
  Result<const BaseModel*> model(Precision precision, int seq_len);
  Status check_unchanged(const BaseModel& opened) const;
  Result<CompiledStep> compile(const BaseModel& base,
                               const std::vector<MethodSettings>& methods,
                               const PlanOptions& plan, Precision precision,
                               SideArithmetic sides) const;

  const std::string path_;
  const PlanOptions plan_;
  const int seq_len_;
  const SideArithmetic sides_;
  std::string sha256_;
  size_t file_bytes_ = 0;
  mutable std::mutex mutex_;  // of what follows
  std::mutex compiling_;      // taken before mutex_
  struct Opened {
    std::unique_ptr<BaseModel> base;
    size_t bytes = 0;  // beside the mapped file
  };
  std::map<std::string, Opened> models_;
  // Nobody but this may hold it any more: then it goes when others come.
  struct Kept {
    std::shared_ptr<ShapeClass> shape;
    uint64_t last_use = 0;  // of uses_
  };
  std::map<std::string, Kept> shapes_;
  uint64_t uses_ = 0;
  // Of shapes in integers: what each adapter's values are made from.
  struct Before {
    CompiledStep step;
    size_t bytes = 0;
  };
  std::map<const ShapeClass*, Before> before_;
};

// The same for a shape that computes them as trained.
Status write_adapters(std::span<const LoadedAdapter> adapters,
                      const ShapeClass& shape, GuardedBuffer& block);

}  // namespace ft
