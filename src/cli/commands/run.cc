// fieldtune run: raw tensors through a model, with or without an adapter.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/npy.h"
#include "exec/session.h"
#include "ir/real_values.h"
#include "passes/stripes.h"
#include "train/adapted_model.h"
#include "train/samples.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model, input, output;
  AdapterOptions adapters;
  KernelOptions kernels;
  int seq_len = 0;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    adapters.add_to(app);
    app.add_option("--input", input,
                   "NPY array in the model's input dtype, samples in the first "
                   "axis")
        ->required();
    app.add_option("--output", output, "NPY array to write")->required();
    add_seq_len(app, seq_len);
    kernels.add_to(app);
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

// The number of samples, if the array can be the program's input.
Result<size_t> check_input(const NpyView& array, const TensorType& type) {
  if (array.dtype != type.dtype)
    return invalid_input(fmt::format("the input is {}, the model takes {}",
                                     name_of(array.dtype), type.to_string()));
  const auto per_sample = static_cast<size_t>(type.shape.num_elements());
  const Shape shape(array.shape);
  if (array.shape.empty() || per_sample == 0 ||
      array.elements() != static_cast<size_t>(array.shape[0]) * per_sample)
    return invalid_input(fmt::format(
        "the input has shape {}; the model takes {} values a sample (its input "
        "is {}), with the samples in the first axis",
        shape.to_string(), per_sample, type.to_string()));
  return static_cast<size_t>(array.shape[0]);
}

std::vector<int64_t> output_shape(size_t samples, const Shape& shape) {
  std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  if (dims.empty()) dims.push_back(1);
  dims[0] *= static_cast<int64_t>(samples);
  return dims;
}

// An adapter that was trained in float makes a float program of an int8 model;
// what goes in and comes out stays in the file's dtypes.
class Runner {
 public:
  Runner(Session& session, const TensorType& x_type, const TensorType& y_type)
      : session_(session), x_type_(x_type), y_type_(y_type) {}

  void run(std::span<const std::byte> x, std::vector<std::byte>& out) {
    if (x_type_.dtype == session_.program().inputs[0].type.dtype) {
      std::ranges::copy(x, session_.input(0).begin());
    } else {
      const Value value{
          .name = {}, .type = x_type_, .kind = ValueKind::kConstant, .data = x};
      std::ranges::copy(real_values(value),
                        session_.input_as<float>(0).begin());
    }
    const auto start = std::chrono::steady_clock::now();
    session_.run();
    micros_.push_back(std::chrono::duration<double, std::micro>(
                          std::chrono::steady_clock::now() - start)
                          .count());
    const auto y = session_.output(0);
    if (y_type_.dtype == session_.program().outputs[0].type.dtype) {
      out.insert(out.end(), y.begin(), y.end());
      return;
    }
    const auto real = session_.output_as<float>(0);
    const size_t at = out.size();
    out.resize(at + real.size());
    write_features(std::span(out).subspan(at), y_type_, 0, real);
  }

  Json median_us() {
    if (micros_.empty()) return {};
    const auto middle =
        micros_.begin() + static_cast<ptrdiff_t>(micros_.size() / 2);
    std::ranges::nth_element(micros_, middle);
    return *middle;
  }

 private:
  Session& session_;
  const TensorType &x_type_, &y_type_;
  std::vector<double> micros_;
};

Status run(const Options& options) {
  FT_TRY(const auto choices, options.adapters.choices());
  FT_TRY(const AdaptedModel model,
         load_adapted_model(options.model, choices, options.kernels.plan(),
                            options.seq_len));
  FT_TRY_STATUS(options.kernels.layout.check({&model.step.program}));
  const Graph& base = model.base.graph;
  int seq_len = 0;  // the one asked for, or the adapter's
  if (takes_tokens(base))
    seq_len = static_cast<int>(base.value(base.inputs[0]).type.shape.back());
  FT_TRY(const BaseModel file_model,
         open_base_model(options.model, {.batch = 1, .seq_len = seq_len}));
  const Graph& deployed = file_model.graph;
  if (deployed.inputs.size() != 1)
    return invalid_input(fmt::format("the model has {} inputs; run feeds one",
                                     deployed.inputs.size()));
  const TensorType& x_type = deployed.value(deployed.inputs[0]).type;
  const TensorType& y_type = deployed.value(deployed.outputs[0]).type;
  FT_TRY(Session session, Session::create(model.step.program));
  FT_TRY(const MappedFile file, MappedFile::open(options.input));
  auto parsed = parse_npy(file.bytes());
  if (!parsed.ok())
    return Status(parsed.status()).in("'" + options.input + "'");
  const NpyView& array = parsed.value();
  FT_TRY(const size_t samples, check_input(array, x_type));
  const size_t bytes = x_type.num_bytes();
  Runner runner(session, x_type, y_type);
  std::vector<std::byte> out;
  for (size_t i = 0; i < samples; ++i)
    runner.run(array.data.subspan(i * bytes, bytes), out);
  const auto shape =
      output_shape(samples, model.step.program.outputs[0].type.shape);
  FT_TRY(const auto npy, write_npy(y_type.dtype, shape, out));
  FT_TRY_STATUS(write_file_atomically(options.output, npy));
  print_result({{"outputs", options.output},
                {"samples", samples},
                {"shape", shape},
                {"dtype", name_of(y_type.dtype)},
                {"arena_bytes", model.step.program.arena_bytes},
                {"patches", stripes_of(model.step.program.graph)},
                {"infer_us", runner.median_us()},
                {"arena_bytes", model.step.program.arena_bytes}},
               options.json);
  return ok_status();
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "run", "Run raw tensors through a model",
      "fieldtune run model.tflite --input x.npy --output y.npy", run);
}

}  // namespace ft::cli
