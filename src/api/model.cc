#include "api/common.h"
#include "exec/session.h"
#include "train/adapted_model.h"
#include "train/answers.h"
#include "train/samples.h"

namespace fieldtune {
namespace {

std::vector<TensorInfo> infos(std::span<const ft::Binding> bindings) {
  std::vector<TensorInfo> all;
  for (const ft::Binding& b : bindings) {
    const auto dims = b.type.shape.dims();
    TensorInfo info{.name = b.name,
                    .dtype = std::string(ft::name_of(b.type.dtype)),
                    .shape = {dims.begin(), dims.end()}};
    if (!b.type.quant.empty()) {
      info.scale = b.type.quant.scale[0];
      info.zero_point = b.type.quant.zero_point[0];
    }
    all.push_back(std::move(info));
  }
  return all;
}

}  // namespace

struct Model::Impl {
  ft::AdaptedModel model;
  std::vector<ft::Session> session;  // one, once it is opened
  std::vector<TensorInfo> inputs, outputs;
  std::vector<std::string> classes;
  std::vector<float> answer;
};

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Result<Model> Model::open(const std::string& path,
                          const ModelOptions& options) {
  auto impl = std::make_unique<Impl>();
  std::vector<ft::AdapterChoice> choices;
  FT_TRY(const ft::LoadRules rules, ft::rules_of_policy(options.policy));
  for (const AdapterUse& use : options.adapters)
    choices.push_back({use.path, use.weight, rules});
  FT_TRY(impl->model,
         ft::load_adapted_model(path, choices, {.exact = options.exact},
                                options.sequence_length));
  const ft::Program& program = impl->model.step.program;
  FT_TRY(ft::Session session, ft::Session::create(program));
  impl->session.push_back(std::move(session));
  impl->inputs = infos(program.inputs);
  impl->outputs = infos(
      std::span(program.outputs).first(impl->model.base.graph.outputs.size()));
  impl->classes = ft::recorded_words(impl->model.metadata(), "classes");
  impl->answer.resize(static_cast<size_t>(
      program.outputs[ft::kAnswerOutput].type.shape.num_elements()));
  return Model(std::move(impl));
}

const std::vector<TensorInfo>& Model::inputs() const { return impl_->inputs; }
const std::vector<TensorInfo>& Model::outputs() const { return impl_->outputs; }
const std::vector<std::string>& Model::classes() const {
  return impl_->classes;
}
MemoryBytes Model::memory() const {
  return memory_of(impl_->model.step.program);
}

Result<std::span<const float>> Model::run(std::span<const float> features) {
  ft::Session& session = impl_->session[0];
  const ft::TensorType& type = session.program().inputs[0].type;
  FT_TRY_STATUS(check_count("features", features.size(),
                            static_cast<size_t>(type.shape.num_elements())));
  ft::write_features(session.input(0), type, 0, features);
  session.run();
  ft::read_real(session, ft::kAnswerOutput, impl_->answer);
  return std::span<const float>(impl_->answer);
}

std::span<std::byte> Model::input(size_t i) {
  return impl_->session[0].input(i);
}
void Model::run() { impl_->session[0].run(); }
std::span<const std::byte> Model::output(size_t i) const {
  return impl_->session[0].output(i);
}

}  // namespace fieldtune
