// ft_model.c: calls in order, at fixed offsets of one ft_model.
#include "codegen/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "codegen/c_text.h"
#include "codegen/calls.h"
#include "codegen/model_header.h"
#include "codegen/size_report.h"
#include "codegen/source_closure.h"

namespace ft::codegen {
namespace {

std::string address(const BufferRef& ref, size_t arena_offset) {
  return ref.space == Space::kArena
             ? fmt::format("m->arena + {}", ref.offset + arena_offset)
             : fmt::format("m->persistent + {}", ref.offset);
}

std::string print_accessors(const std::vector<Accessor>& all,
                            size_t arena_offset) {
  std::string text;
  for (const Accessor& a : all)
    text += fmt::format("{} {{\n  return ({}{} *)(void *)({});\n}}\n\n",
                        accessor_prototype(a), a.is_input ? "" : "const ",
                        c_type(a.binding->type.dtype),
                        address(a.binding->ref, arena_offset));
  return text;
}

// memcpy of what does not begin as zeros, of all or of states only.
std::string print_initial(const Program& program, Constants& constants,
                          bool states_only) {
  std::string text;
  for (const Binding& b : program.persistent) {
    const Value& value = program.graph.value(b.value);
    const auto data = value.data;
    if (states_only && value.kind != ValueKind::kState) continue;
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    if (std::ranges::all_of(data, is_zero)) continue;
    const std::string name = constants.name_of(
        {Space::kConstant, 0, data, b.type.dtype}, b.name + "_initial");
    text += fmt::format("  memcpy({}, {}, {});\n", address(b.ref, 0), name,
                        data.size());
  }
  return text;
}

std::string print_init(const Program& program, Constants& constants) {
  std::string text =
      "void ft_init(ft_model *m) {\n  memset(m, 0, sizeof *m);\n" +
      print_initial(program, constants, false);
  if (!program.persistent.empty()) text += "  m->adapter = m->persistent;\n";
  return text + "}\n\n";
}

std::string print_schedule(const ft_schedule& s) {
  return fmt::format(
      "static const ft_schedule schedule = {{\n"
      "    .lr_mantissa = {}, .lr_exponent = {}, .kind = {},\n"
      "    .beta1 = {}ULL, .beta2 = {}ULL,\n"
      "    .warmup = {}, .total_updates = {}, .accumulate = {}}};\n\n",
      s.lr_mantissa, s.lr_exponent, s.kind, s.beta1, s.beta2, s.warmup,
      s.total_updates, s.accumulate);
}

constexpr std::string_view kSwap = R"(
ft_status ft_swap_adapter(ft_model *m, const void *adapter) {
  if (((uintptr_t)adapter & 15u) != 0) return FT_BAD_ADDRESS;
  m->adapter = adapter ? (const unsigned char *)adapter : m->persistent;
  return FT_OK;
}

)";

constexpr std::string_view kState = R"(
/* The plan's hash tells states of other plans. */
static const unsigned char state_mark[16] = {{{mark}}};

static ft_status finish_step(ft_model *m) {{
{finite}  ++m->step;
  return FT_OK;
}}

void ft_start_training(ft_model *m) {{
  if (m->adapter != m->persistent)
    memcpy(m->persistent, m->adapter, FT_ADAPTER_BYTES);
  memset(m->persistent + FT_ADAPTER_BYTES, 0,
         FT_PERSISTENT_BYTES - FT_ADAPTER_BYTES);
{states}  m->step = 0;
  m->next_call = 0;
}}

ft_status ft_save_state(const ft_model *m, unsigned char *to) {{
  if (m->next_call != 0) return FT_BUSY;
  memset(to, 0, 32);
  memcpy(to, state_mark, sizeof state_mark);
  memcpy(to + 16, &m->step, sizeof m->step);
  memcpy(to + 32, m->persistent, FT_PERSISTENT_BYTES);
  return FT_OK;
}}

ft_status ft_load_state(ft_model *m, const unsigned char *from) {{
  if (memcmp(from, state_mark, sizeof state_mark) != 0) return FT_BAD_STATE;
  memcpy(&m->step, from + 16, sizeof m->step);
  memcpy(m->persistent, from + 32, FT_PERSISTENT_BYTES);
  m->next_call = 0;
  return FT_OK;
}}

)";

constexpr std::string_view kFinite = R"(  uint32_t loss;
  memcpy(&loss, {}, sizeof loss);
  if ((loss & 0x7F800000u) == 0x7F800000u) return FT_NOT_FINITE;
)";

// Inlined, all calls would share one frame, as large as it comes out.
constexpr std::string_view kCall = R"(
/* A frame for each call, of which only one is on the stack. */
#define FT_CALL __attribute__((noinline))

)";

class Printer {
 public:
  Printer(const DeviceModel& model, const DeviceSizes& sizes,
          const std::optional<Slices>& slices, Constants& constants)
      : model_(model), sizes_(sizes), slices_(slices), constants_(constants) {}

  Result<ModelSource> run() {
    FT_TRY(const PrintedCalls infer,
           print_calls(
               *model_.infer,
               {.prefix = "infer", .persistent = "(unsigned char *)m->adapter"},
               constants_));
    ModelSource out;
    out.kernels = infer.kernels;
    body_ = infer.functions + print_init(all(), constants_);
    if (sizes_.adapter_bytes > 0) body_ += kSwap;
    body_ += sequence("void ft_infer(ft_model *m) {\n", infer.names) + "}\n\n";
    body_ += print_accessors(accessors(*model_.infer, "ft_infer", false), 0);
    if (model_.features) FT_TRY_STATUS(print_features(out.kernels));
    if (model_.train) FT_TRY_STATUS(print_training(out.kernels));
    FT_TRY(const std::string includes, print_includes(out.kernels));
    out.header = print_model_header(model_, sizes_, slices_);
    out.source = includes + body_;
    return out;
  }

 private:
  const Program& all() const {
    return model_.train ? *model_.train : *model_.infer;
  }

  static std::string sequence(const std::string& head,
                              const std::vector<std::string>& names,
                              const char* arguments = "m") {
    std::string text = head;
    for (const std::string& name : names)
      text += fmt::format("  {}({});\n", name, arguments);
    return text;
  }

  Status print_features(std::set<std::string>& kernels) {
    FT_TRY(const PrintedCalls calls,
           print_calls(*model_.features,
                       {.prefix = "features", .persistent = "m->persistent"},
                       constants_));
    kernels.insert(calls.kernels.begin(), calls.kernels.end());
    body_ +=
        calls.functions +
        sequence("void ft_features(ft_model *m) {\n", calls.names) + "}\n\n" +
        print_accessors(accessors(*model_.features, "ft_features", false), 0);
    return ok_status();
  }

  Status print_training(std::set<std::string>& kernels) {
    const Program& train = *model_.train;
    const size_t offset =
        model_.sliced ? infer_region(idle_arena_bytes(model_)) : 0;
    FT_TRY(
        const PrintedCalls calls,
        print_calls(
            train,
            {.prefix = "train",
             .arena_offset = offset,
             .scratch_offset =
                 model_.sliced ? infer_region(idle_scratch_bytes(model_)) : 0,
             .persistent = "m->persistent",
             .in_parts = slices_.has_value()},
            constants_));
    kernels.insert(calls.kernels.begin(), calls.kernels.end());
    const std::string schedule =
        model_.integer ? "ft_schedule_s32" : "ft_schedule_f32";
    kernels.insert(schedule);
    body_ += calls.functions + print_schedule(model_.schedule);
    const std::string hyper = address(train.inputs.back().ref, offset);
    body_ += fmt::format(
        "static void begin_step(ft_model *m) {{\n"
        "  {}(&schedule, m->step, {}({} *)(void *)({}));\n}}\n",
        schedule, model_.integer ? fmt::format("{}ULL, ", model_.seed) : "",
        model_.integer ? "int32_t" : "float", hyper);
    body_ += fmt::format(
        kState, fmt::arg("mark", c_hash_prefix(plan_hash(train))),
        fmt::arg("states", print_initial(train, constants_, true)),
        fmt::arg(
            "finite",
            model_.integer
                ? ""
                : fmt::format(kFinite, address(train.outputs[0].ref, offset))));
    body_ +=
        sequence("ft_status ft_train_step(ft_model *m) {\n  begin_step(m);\n",
                 calls.names, slices_ ? "m, 0" : "m") +
        "  return finish_step(m);\n}\n\n";
    body_ += print_accessors(accessors(train, "ft_train", true), offset);
    if (slices_) body_ += print_poll(*slices_, calls.names);
    return ok_status();
  }

  static Result<std::string> print_includes(
      const std::set<std::string>& kernels) {
    std::set<std::string> headers;
    std::string prototypes;
    for (const std::string& kernel : kernels) {
      FT_TRY(const SourceFile* const file, source_of(kernel));
      headers.insert(header_of(*file));
      // Rows of one instruction set are in no header.
      if (kernel.ends_with("_armdsp") || kernel.ends_with("_helium"))
        prototypes += fmt::format(
            "void {}(const void *params, const ft_args *args);\n", kernel);
    }
    std::string text =
        "#include \"ft_model.h\"\n\n#include <math.h>\n"
        "#include <string.h>\n\n#include \"ft_weights.h\"\n";
    for (const std::string& h : headers)
      text += fmt::format("#include \"{}\"\n", h);
    return text + "\n" + prototypes + std::string(kCall);
  }

  const DeviceModel& model_;
  const DeviceSizes& sizes_;
  const std::optional<Slices>& slices_;
  Constants& constants_;
  std::string body_;
};

}  // namespace

Result<ModelSource> print_model_source(const DeviceModel& model,
                                       const DeviceSizes& sizes,
                                       const std::optional<Slices>& slices,
                                       Constants& constants) {
  return Printer(model, sizes, slices, constants).run();
}

}  // namespace ft::codegen
