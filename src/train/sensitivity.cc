#include "train/sensitivity.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <memory>

#include "base/random.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "train/answers.h"

namespace ft {
namespace {

// The method of the sketch: A is frozen, so no step needs its gradient.
constexpr char kSketch[] = "lora-fa";

// A layer with its sketch and what is summed over the samples.
class Layer {
 public:
  Layer(const AdaptableModule& m, int r)
      : module_(m),
        columns_(kernel_extent(m).size()),
        r_(static_cast<int>(std::min<int64_t>(r, m.max_rank()))),
        gram_(Eigen::MatrixXd::Zero(r_, r_)),
        mean_(Eigen::MatrixXd::Zero(m.rows, r_)),
        energies_(Eigen::VectorXd::Zero(m.rows)) {}

  const std::string& name() const { return module_.name; }
  int r() const { return r_; }
  size_t statistics_bytes() const {
    return sizeof(double) *
           static_cast<size_t>(gram_.size() + mean_.size() + energies_.size());
  }

  // Half as wide a sketch; false where it has one row.
  bool shrink() {
    if (r_ == 1) return false;
    *this = Layer(module_, r_ / 2);
    return true;
  }

  bool find_tensors(const AdaptedGraph& adapted) {
    a_ = find(adapted, "lora_A.weight");
    b_ = find(adapted, "lora_B.weight");
    return a_ != nullptr && b_ != nullptr;
  }

  // sqrt(columns / r) times orthonormal rows, by QR of a Gaussian matrix.
  void set_sketch(Session& session, uint64_t seed) const {
    const Random random(seed, "sketch of " + module_.name);
    Eigen::MatrixXd gauss(columns_, r_);
    for (Eigen::Index i = 0; i < gauss.size(); ++i)
      gauss(i) = static_cast<double>(random.normal(static_cast<uint64_t>(i)));
    const Eigen::MatrixXd q =
        Eigen::HouseholderQR<Eigen::MatrixXd>(gauss).householderQ() *
        Eigen::MatrixXd::Identity(columns_, r_);
    const double scale =
        std::sqrt(static_cast<double>(columns_) / static_cast<double>(r_));
    std::vector<float> values;
    for (Eigen::Index i = 0; i < r_; ++i)
      for (Eigen::Index k = 0; k < columns_; ++k)
        values.push_back(static_cast<float>(scale * q(k, i)));
    set_adapter_values(session, *a_, values);
  }

  void clear(Session& session) const {
    const std::vector<float> zeros(static_cast<size_t>(mean_.size()), 0.0f);
    set_adapter_values(session, *b_, zeros);
  }

  // B after one update at rate 1: -G A^T of this sample.
  void add(Session& session) {
    const std::vector<float> b = adapter_values(session, *b_);
    const Eigen::MatrixXd g =
        Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic,
                                       Eigen::RowMajor>>(b.data(), module_.rows,
                                                         r_)
            .cast<double>();
    gram_ += g.transpose() * g;
    mean_ += g;
    energies_ += g.rowwise().squaredNorm();
  }

  LayerSensitivity result(size_t samples) const {
    const double n = static_cast<double>(samples);
    LayerSensitivity s{.module = module_.name,
                       .kind = module_.kind,
                       .rows = module_.rows,
                       .columns = columns_,
                       .r = r_,
                       .fisher = gram_.trace() / n,
                       .mean_gradient = mean_.norm() / n};
    const double total = gram_.trace();
    const double share = total > 0 ? 1 / total : 0;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
        gram_, Eigen::EigenvaluesOnly);
    for (Eigen::Index i = r_; i-- > 0;)
      s.spectrum.push_back(std::max(0.0, solver.eigenvalues()(i)) * share);
    for (const double e : energies_) s.channels.push_back(e * share);
    return s;
  }

 private:
  const AdapterTensor* find(const AdaptedGraph& adapted,
                            std::string_view what) const {
    const auto at = std::ranges::find(
        adapted.tensors, peft_key(module_.name, what), &AdapterTensor::name);
    return at == adapted.tensors.end() ? nullptr : &*at;
  }

  AdaptableModule module_;
  int64_t columns_;
  int r_;
  Eigen::MatrixXd gram_, mean_;  // sums of G'^T G' and of G', G' = -G A^T
  Eigen::VectorXd energies_;     // of the outputs
  const AdapterTensor* a_ = nullptr;
  const AdapterTensor* b_ = nullptr;
};

// Layers that are measured together, and the step that does it.
struct Round {
  std::span<Layer> layers;
  CompiledStep step;
  size_t ram_bytes = 0;
};

class Measurement {
 public:
  Measurement(const Graph& base, const SensitivitySettings& settings,
              const MaskSamples& data,
              const std::function<bool(int64_t, int64_t)>& keep_going)
      : base_(base), settings_(settings), data_(data), keep_going_(keep_going) {
    head_samples_ =
        settings.num_classes > 0
            ? std::min<size_t>(static_cast<size_t>(settings.head_samples),
                               data.indices.size())
            : 0;
  }

  Result<Sensitivity> run() {
    FT_TRY_STATUS(find_layers());
    FT_TRY_STATUS(plan_rounds(layers_));
    if (rounds_.empty())
      return does_not_fit(result_.left_out.empty()
                              ? "no layer is left to measure"
                              : result_.left_out.back().second);
    for (Round& round : rounds_) {
      FT_TRY_STATUS(measure(round));
      for (const Layer& layer : round.layers)
        result_.layers.push_back(layer.result(data_.indices.size()));
      result_.ram_bytes = std::max(result_.ram_bytes, round.ram_bytes);
    }
    result_.rounds = static_cast<int>(rounds_.size());
    result_.samples = data_.indices.size();
    return std::move(result_);
  }

 private:
  Status find_layers() {
    MethodSettings all;
    all.method = kSketch;
    all.target_modules = settings_.target_modules;
    FT_TRY(const auto modules, select_modules(base_, all));
    for (const AdaptableModule& m : modules) {
      if (settings_.num_classes > 0 && m.node == find_head(base_).head)
        continue;  // replaced by the new head, which is trained anyway
      Status refused = check_low_rank_module(base_, m, 1, "the sketch");
      if (refused.ok()) refused = check_shared_is_float(base_, m, "the sketch");
      if (refused.ok())
        layers_.emplace_back(m, settings_.r);
      else
        result_.left_out.emplace_back(m.name, refused.message());
    }
    return ok_status();
  }

  StepSettings step_settings(std::span<const Layer> layers,
                             size_t ram_bytes) const {
    StepSettings s;
    s.method.method = kSketch;
    s.method.seed = settings_.seed;
    s.method.num_classes = settings_.num_classes;
    for (const Layer& layer : layers) {  // alpha = r: nothing is scaled
      s.method.target_modules.push_back(layer.name());
      s.method.rank_pattern.emplace_back(layer.name(), layer.r());
      s.method.alpha_pattern.emplace_back(layer.name(), layer.r());
    }
    s.optimizer = plain_sgd(1);
    s.loss = settings_.loss;
    s.plan = settings_.plan;
    s.precision = settings_.precision;
    s.ram_bytes = ram_bytes;
    return s;
  }

  // All layers at once if they fit, else each half for itself, and one layer
  // with a narrower sketch.
  Status plan_rounds(std::span<Layer> layers) {
    if (layers.empty()) return ok_status();
    size_t statistics = 0;
    for (const Layer& layer : layers) statistics += layer.statistics_bytes();
    Status why = does_not_fit("nothing is left for the step");
    if (statistics < settings_.ram_bytes) {
      auto step = compile_training(
          base_, step_settings(layers, settings_.ram_bytes - statistics));
      if (step.ok()) {
        const size_t ram = step->program.ram_bytes() + statistics;
        rounds_.push_back({layers, std::move(*step), ram});
        return ok_status();
      }
      why = step.status();
      if (why.code() != Code::kDoesNotFit) return why;
    }
    if (layers.size() == 1) {
      if (layers[0].shrink()) return plan_rounds(layers);
      result_.left_out.emplace_back(
          layers[0].name(),
          fmt::format("'{}': {}, and its statistics {} bytes beside it",
                      layers[0].name(), why.message(), statistics));
      return ok_status();
    }
    FT_TRY_STATUS(plan_rounds(layers.first(layers.size() / 2)));
    return plan_rounds(layers.subspan(layers.size() / 2));
  }

  Status measure(Round& round) {
    FT_TRY_STATUS(check_samples(round.step.program, data_.samples));
    FT_TRY(Session session, Session::create(round.step.program));
    for (Layer& layer : round.layers) {
      FT_CHECK(layer.find_tensors(round.step.adapted));
      layer.set_sketch(session, settings_.seed);
    }
    if (head_samples_ > 0) {
      std::vector<size_t> first = data_.indices;
      first.resize(head_samples_);
      FT_TRY_STATUS(train(session, settings_.head_lr, first, [&] {
        for (const Layer& layer : round.layers) layer.clear(session);
      }));
    }
    const auto region = session.all_persistent();
    const std::vector<std::byte> start(region.begin(), region.end());
    return train(session, 1, data_.indices, [&] {
      for (Layer& layer : round.layers) layer.add(session);
      std::ranges::copy(start, region.begin());
    });
  }

  // One update for each sample, and `after` behind each.
  Status train(Session& session, double lr, const std::vector<size_t>& indices,
               const std::function<void()>& after) {
    Trainer trainer(
        session, {}, data_.samples, indices, {}, data_.task,
        {.epochs = 1, .shuffle = false, .optimizer = plain_sgd(lr)});
    FT_TRY_STATUS(trainer.check());
    const int64_t total =
        static_cast<int64_t>(rounds_.size()) *
        static_cast<int64_t>(data_.indices.size() + head_samples_);
    FT_TRY(const StopReason stop, trainer.run([&](const Progress& p) {
      if (p.step > 0) after();
      return keep_going_(done_++, total);
    }));
    if (stop == StopReason::kInterrupted) return io_error("interrupted");
    if (stop == StopReason::kDiverged) return invalid_input(trainer.message());
    after();  // of the last one
    return ok_status();
  }

  const Graph& base_;
  const SensitivitySettings& settings_;
  const MaskSamples& data_;
  const std::function<bool(int64_t, int64_t)>& keep_going_;
  size_t head_samples_ = 0;
  std::vector<Layer> layers_;
  std::vector<Round> rounds_;
  Sensitivity result_;
  int64_t done_ = 0;
};

}  // namespace

int count_for(std::vector<double> shares, double part) {
  std::ranges::sort(shares, std::greater<>());
  double whole = 0, sum = 0;
  for (const double s : shares) whole += s;
  int count = 0;
  while (sum < part * whole) sum += shares[static_cast<size_t>(count++)];
  return count;
}

Result<Sensitivity> measure_sensitivity(
    const Graph& base, const SensitivitySettings& settings,
    const MaskSamples& data,
    const std::function<bool(int64_t, int64_t)>& keep_going) {
  if (settings.precision == Precision::kInteger)
    return usage_error(
        "sensitivities are measured in f32 or mixed: integer gradients are "
        "too coarse for their energies");
  if (settings.r < 1)
    return usage_error(
        fmt::format("a sketch of {} rows: must be at least 1", settings.r));
  if (data.indices.empty()) return invalid_input("there are no samples");
  return Measurement(base, settings, data, keep_going).run();
}

}  // namespace ft
