#include "codegen/calls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "codegen/c_text.h"
#include "codegen/source_closure.h"
#include "ops/device_rows.h"

namespace ft::codegen {
namespace {

// .batch = 1, .in_h = 49, ...; members that are 0 are left out.
Result<std::string> print_params(const KernelCall& call) {
  const ParamType* type = find_param_type(call.params_type);
  if (type == nullptr)
    return internal_error(
        fmt::format("no layout of {} is known, which {} reads",
                    call.params_type, call.kernel->symbol));
  std::vector<std::string> words;
  size_t at = 0;
  for (const ParamMember& member : type->members) {
    const auto count = static_cast<size_t>(member.count);
    FT_CHECK((at + count) * 4 <= call.params.size());
    std::vector<std::string> values;
    bool any = false;
    for (size_t i = 0; i < count; ++i, ++at) {
      uint32_t bits = 0;
      std::memcpy(&bits, call.params.data() + 4 * at, sizeof bits);
      any = any || bits != 0;
      float real = 0;
      std::memcpy(&real, &bits, sizeof real);
      values.push_back(member.is_float
                           ? c_literal(real)
                           : c_literal(int64_t{static_cast<int32_t>(bits)}));
    }
    if (!any) continue;
    words.push_back(count == 1 ? fmt::format(".{} = {}", member.name, values[0])
                               : fmt::format(".{} = {{{}}}", member.name,
                                             fmt::join(values, ", ")));
  }
  if (at * 4 != call.params.size())
    return internal_error(fmt::format("{} has {} bytes, its layout {}",
                                      call.params_type, call.params.size(),
                                      at * 4));
  if (words.empty()) words.emplace_back("0");
  return c_wrapped(words, "      ");
}

class Printer {
 public:
  Printer(const Program& program, const CallPlaces& places,
          Constants& constants)
      : program_(program), places_(places), constants_(constants) {}

  Result<PrintedCalls> run() {
    for (size_t c = 0; c < program_.calls.size(); ++c) FT_TRY_STATUS(print(c));
    return std::move(printed_);
  }

 private:
  Status print(size_t c) {
    const KernelCall& call = program_.calls[c];
    const Node& node = program_.graph.node(call.node);
    const std::string name =
        fmt::format("{}_{}_{}", places_.prefix, c, c_identifier(node.name));
    FT_TRY(const std::string params, print_params(call));
    printed_.functions += fmt::format(
        "/* {} */\nFT_CALL static void {}(ft_model *m{}) {{\n"
        "  static const {} params = {{\n{}}};\n",
        describe(node), name, places_.in_parts ? ", const ft_part *part" : "",
        call.params_type, params);
    const std::string in = inputs(call, node);
    const std::string aux =
        pointers("aux", "const void *", call.aux, "aux", node.name);
    const std::string out = pointers("out", "void *", call.out, "out", "");
    printed_.functions += in + aux + out;
    printed_.functions += fmt::format(
        "  const ft_args args = {{{}, {}, {}, {}, {}}};\n"
        "  (void)m;\n  {}(&params, &args);\n}}\n\n",
        in.empty() ? "0" : "in", aux.empty() ? "0" : "aux",
        out.empty() ? "0" : "out",
        call.scratch_bytes > 0
            ? fmt::format("m->scratch + {}", places_.scratch_offset)
            : "0",
        places_.in_parts ? "part" : "0", call.kernel->symbol);
    printed_.names.push_back(name);
    printed_.kernels.emplace(call.kernel->symbol);
    return ok_status();
  }

  // "conv2d stem: int8[1, 49, 10, 1] -> int8[1, 25, 5, 64]", fit for a comment.
  std::string describe(const Node& node) const {
    const auto type = [&](ValueId v) {
      const TensorType& t = program_.graph.value(v).type;
      return fmt::format("{}{}", name_of(t.dtype), t.shape.to_string());
    };
    std::string text = fmt::format("{} {}", node.op->name,
                                   node.name.substr(0, node.name.find(';')));
    for (size_t at = text.find("*/"); at != std::string::npos;
         at = text.find("*/"))
      text[at] = '.';
    if (!node.inputs.empty() && node.inputs[0] != kNone)
      text += ": " + type(node.inputs[0]);
    if (!node.outputs.empty()) text += " -> " + type(node.outputs[0]);
    return text;
  }

  std::string inputs(const KernelCall& call, const Node& node) {
    std::vector<std::string> words;
    const uint32_t unread = ops::unread_inputs(*node.op, *call.kernel);
    for (size_t i = 0; i < call.in.size(); ++i) {
      const ValueId v = i < node.inputs.size() ? node.inputs[i] : kNone;
      if (i < 32 && (unread >> i & 1) != 0) {
        words.emplace_back("0");
        continue;
      }
      words.push_back(expression(
          call.in[i], v == kNone ? "" : program_.graph.value(v).name));
    }
    return array("in", "void *", words);
  }

  std::string pointers(const char* name, const char* type,
                       const std::vector<BufferRef>& refs, const char* hint,
                       const std::string& of) {
    std::vector<std::string> words;
    for (const BufferRef& ref : refs)
      words.push_back(expression(ref, of + "_" + hint, name[0] == 'a'));
    return array(name, type, words);
  }

  static std::string array(const char* name, const char* type,
                           const std::vector<std::string>& words) {
    if (words.empty()) return "";
    return fmt::format("  {}const {}[] = {{\n{}}};\n", type, name,
                       c_wrapped(words, "      "));
  }

  std::string expression(const BufferRef& ref, const std::string& hint,
                         bool keeps_const = false) {
    switch (ref.space) {
      case Space::kNone: return "0";
      case Space::kArena:
        return fmt::format("m->arena + {}", ref.offset + places_.arena_offset);
      case Space::kPersistent:
        return fmt::format("{} + {}", places_.persistent, ref.offset);
      case Space::kConstant: break;
    }
    return (keeps_const ? "" : "(void *)") + constants_.name_of(ref, hint);
  }

  const Program& program_;
  const CallPlaces& places_;
  Constants& constants_;
  PrintedCalls printed_;
};

}  // namespace

Result<PrintedCalls> print_calls(const Program& program,
                                 const CallPlaces& places,
                                 Constants& constants) {
  return Printer(program, places, constants).run();
}

}  // namespace ft::codegen
