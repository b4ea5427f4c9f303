#include "serving/shape_class.h"

#include <fmt/format.h>

#include <atomic>

#include "plan/parameters.h"
#include "train/answers.h"
#include "train/samples.h"

namespace ft {
namespace {

size_t elements(const TensorType& type) {
  return static_cast<size_t>(type.shape.num_elements());
}

}  // namespace

Result<std::shared_ptr<ShapeClass>> ShapeClass::create(CompiledStep step,
                                                       const Graph* base,
                                                       Compile compile) {
  for (const KernelCall& call : step.program.calls)
    for (const BufferRef& out : call.out)
      if (out.space == Space::kPersistent)
        return internal_error(
            fmt::format("serving: '{}' writes to a parameter",
                        step.program.graph.node(call.node).name));
  if (step.program.inputs.size() != 1)
    return invalid_input(fmt::format(
        "the model has {} inputs; the runtime serves models with one",
        step.program.inputs.size()));
  // The program stays where it is from here on: sessions point to it.
  return std::shared_ptr<ShapeClass>(
      new ShapeClass(std::move(step), base, std::move(compile)));
}

uint64_t ShapeClass::next_serial() {
  static std::atomic<uint64_t> serials{0};
  return ++serials;
}

size_t ShapeClass::feature_size() const { return elements(input_type()); }
size_t ShapeClass::answer_size() const {
  return elements(program().outputs[kAnswerOutput].type);
}

size_t ShapeClass::block_bytes() const {
  return program().persistent_bytes + 2 * GuardedBuffer::kGuardBytes;
}

Result<std::shared_ptr<GuardedBuffer>> ShapeClass::new_block() const {
  auto block = std::make_shared<GuardedBuffer>(program().persistent_bytes);
  FT_TRY_STATUS(write_initial_values(program(), block->bytes()));
  return block;
}

ShapeClass::Lease::~Lease() {
  if (session_ == nullptr) return;
  session_->release_persistent();
  const std::unique_lock lock(from_->mutex_);
  from_->idle_.push_back(std::move(session_));
}

Result<ShapeClass::Lease> ShapeClass::lease(const ServedAdapter& adapter) {
  std::unique_ptr<Session> session;
  {
    const std::unique_lock lock(mutex_);
    if (!idle_.empty()) {
      session = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (session == nullptr) {
    FT_TRY(Session made, Session::create_on(program(), adapter.block));
    session = std::make_unique<Session>(std::move(made));
    const std::unique_lock lock(mutex_);
    idle_.reserve(++sessions_);  // giving back does not allocate
  } else {
    session->use_persistent(adapter.block);
  }
  return Lease(this, std::move(session));
}

double ShapeClass::least_load_us(double load_us) {
  const std::unique_lock lock(mutex_);
  if (least_load_us_ == 0 || load_us < least_load_us_) least_load_us_ = load_us;
  return least_load_us_;
}

size_t ShapeClass::session_bytes() const {
  const std::unique_lock lock(mutex_);
  return batches_.memory_bytes() +
         sessions_ * (program().arena_bytes + program().scratch_bytes +
                      4 * GuardedBuffer::kGuardBytes);
}

Result<std::unique_ptr<BatchProgram>> ShapeClass::compile_batch(
    size_t samples) const {
  if (compile_ == nullptr)
    return usage_error("this shape runs its requests one by one");
  FT_TRY(CompiledStep one, compile_(1));
  FT_TRY(CompiledStep many, compile_(samples));
  return BatchProgram::create(std::move(one), std::move(many), samples);
}

Status check_features(const ServedAdapter& adapter,
                      std::span<const float> features) {
  const size_t wanted = adapter.shape->feature_size();
  if (features.size() == wanted) return ok_status();
  return usage_error(fmt::format("{} features were given, the model takes {}",
                                 features.size(), wanted));
}

Status answer_with(const ServedAdapter& adapter,
                   std::span<const float> features,
                   std::vector<float>& answer) {
  const ShapeClass& shape = *adapter.shape;
  FT_TRY_STATUS(check_features(adapter, features));
  FT_TRY(ShapeClass::Lease lease, adapter.shape->lease(adapter));
  Session& session = lease.session();
  write_features(session.input(0), shape.input_type(), 0, features);
  session.run();
  answer.resize(shape.answer_size());
  read_real(session, kAnswerOutput, answer);
  return ok_status();
}

}  // namespace ft
