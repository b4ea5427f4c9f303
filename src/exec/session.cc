#include "exec/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/parameters.h"

namespace ft {
namespace {

const Binding* find_binding(const std::vector<Binding>& bindings,
                            std::string_view name) {
  for (const Binding& b : bindings)
    if (b.name == name) return &b;
  return nullptr;
}

}  // namespace

Result<Session> Session::create(const Program& program) {
  Session session(program);
  FT_TRY_STATUS(session.allocate(
      std::make_shared<GuardedBuffer>(program.persistent_bytes)));
  FT_TRY_STATUS(write_initial_values(program, session.all_persistent()));
  return session;
}

Result<Session> Session::create_sharing(const Program& program,
                                        const Session& other) {
  for (const Binding& b : program.persistent) {
    const Binding* theirs = find_binding(other.program_->persistent, b.name);
    if (theirs == nullptr || theirs->ref.offset != b.ref.offset ||
        theirs->type.num_bytes() != b.type.num_bytes())
      return internal_error("session: '" + b.name +
                            "' lies elsewhere in the shared region");
  }
  Session session(program);
  FT_TRY_STATUS(session.allocate(other.persistent_));
  return session;
}

Result<Session> Session::create_on(const Program& program,
                                   std::shared_ptr<GuardedBuffer> region) {
  if (region == nullptr || region->size() != program.persistent_bytes)
    return internal_error(fmt::format(
        "session: a persistent region of {} bytes was given, {} are needed",
        region == nullptr ? 0 : region->size(), program.persistent_bytes));
  Session session(program);
  FT_TRY_STATUS(session.allocate(std::move(region)));
  return session;
}

void Session::use_persistent(std::shared_ptr<GuardedBuffer> region) {
  FT_CHECK(region != nullptr && region->size() == program_->persistent_bytes);
  persistent_ = std::move(region);
  if (persistent_->data() == linked_) return;
  linked_ = persistent_->data();
  for (const PersistentPointer& p : persistent_pointers_)
    *p.at = linked_ + p.offset;
}

Status Session::allocate(std::shared_ptr<GuardedBuffer> persistent) {
  persistent_ = std::move(persistent);
  arena_ = std::make_unique<GuardedBuffer>(program_->arena_bytes);
  scratch_ = std::make_unique<GuardedBuffer>(program_->scratch_bytes);
  link();
  return ok_status();
}

// Resolves every reference once, so that run() only calls.
void Session::link() {
  size_t count = 0;
  for (const KernelCall& c : program_->calls)
    count += c.in.size() + c.aux.size() + c.out.size();
  pointers_.reserve(count);
  linked_ = persistent_->data();
  const auto resolve_all = [&](const std::vector<BufferRef>& refs) {
    void** first = pointers_.data() + pointers_.size();
    for (const BufferRef& ref : refs) {
      pointers_.push_back(resolve(ref));
      if (ref.space == Space::kPersistent)
        persistent_pointers_.push_back({&pointers_.back(), ref.offset});
    }
    return first;
  };
  for (const KernelCall& c : program_->calls) {
    Call call{.run = c.kernel->run, .params = c.params.data(), .args = {}};
    call.args.in = resolve_all(c.in);
    call.args.aux = const_cast<const void* const*>(resolve_all(c.aux));
    call.args.out = resolve_all(c.out);
    call.args.scratch = scratch_->data();
    calls_.push_back(call);
  }
}

void* Session::resolve(const BufferRef& ref) {
  switch (ref.space) {
    case Space::kNone: return nullptr;
    case Space::kArena: return arena_->data() + ref.offset;
    case Space::kPersistent: return persistent_->data() + ref.offset;
    case Space::kConstant:
      return const_cast<std::byte*>(ref.constant.data());  // kernels only read
  }
  return nullptr;
}

std::span<std::byte> Session::bytes_of(const Binding& binding) {
  return {static_cast<std::byte*>(resolve(binding.ref)),
          binding.type.num_bytes()};
}

void Session::run() {
  for (const Call& call : calls_) call.run(call.params, &call.args);
}

std::span<std::byte> Session::persistent(std::string_view name) {
  const Binding* b = find_binding(program_->persistent, name);
  if (b == nullptr) return {};
  return bytes_of(*b);
}

void Session::paint_arena(std::byte pattern) {
  std::ranges::fill(arena_->bytes(), pattern);
}

size_t Session::painted_bytes_used(std::byte pattern) {
  const auto bytes = arena_->bytes();
  size_t used = bytes.size();
  while (used > 0 && bytes[used - 1] == pattern) --used;
  return used;
}

bool Session::guards_intact() const {
  return arena_->guards_intact() && scratch_->guards_intact() &&
         (persistent_ == nullptr || persistent_->guards_intact());
}

}  // namespace ft
