// fieldtune train: adapts a model to the user's data.
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/plan_file.h"
#include "cli/progress.h"
#include "cli/report_page.h"
#include "cli/train_job.h"

namespace ft::cli {
namespace {

struct Options {
  TrainJob job;
  std::string report, plan;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", job.model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    job.data.add_source_to(app);
    job.data.add_training_to(app);
    job.method.add_to(app);
    job.optimizer.add_to(app);
    add_plan_file(app, plan);
    job.kernels.add_to(app);
    app.add_option("--seed", job.seed, "of everything random")
        ->capture_default_str();
    app.add_option(
        "--init-adapter", job.init_adapter,
        "start from the values of this adapter: of its layers, ranks "
        "and classes where no option of the method is given, with "
        "its front end");
    app.add_option("--on-top-of", job.on_top_of,
                   "train beside this adapter, which stays as it is; give both "
                   "to eval, run and merge (may be repeated)")
        ->allow_extra_args(false);
    job.policy.add_to(app);
    app.add_option("--out,-o", job.out, "adapter file to write (.safetensors)")
        ->required();
    app.add_option("--checkpoint", job.checkpoint,
                   "where the state is kept for --resume, also on Ctrl-C "
                   "(default: OUT.checkpoint)");
    app.add_flag("--resume", job.resume,
                 "go on from the checkpoint, or from the beginning where "
                 "there is none; same bits");
    app.add_option("--checkpoint-every", job.checkpoint_every,
                   "steps between checkpoints (0: one a minute)")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--stop-after", job.stop_after,
                   "stop as Ctrl-C does after this many steps (0: never)")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--feature-cache", job.feature_cache,
                   "compute what the frozen layers in front answer to each "
                   "sample once, keep it in this file and skip them from then "
                   "on; same bits")
        ->type_name("FILE");
    app.add_option("--loss-log", job.loss_log,
                   "write the loss of each step of this call (.csv)");
    app.add_option("--report", report,
                   "write a page with memory map, curves and confusion "
                   "matrices (.html)");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  catch_interrupts();
  TrainJob job = options.job;
  std::optional<EnergySchedule> schedule;
  if (!options.plan.empty()) {
    FT_TRY(const TrainingPlan plan, load_plan_for(job.model, options.plan));
    FT_TRY_STATUS(apply_plan(plan, false, job.method, job.optimizer));
    FT_TRY_STATUS(apply_schedule(plan, job.stop_after));
    schedule = plan.schedule;
  }
  FT_TRY(TrainOutcome outcome, run_train_job(job));
  if (schedule) {
    outcome.fields["updates_per_day"] = schedule->updates_per_day;
    outcome.fields["days"] = schedule->days;
  }
  if (!options.report.empty())
    FT_TRY_STATUS(write_file_atomically(options.report,
                                        render_train_report(job, outcome)));
  print_result(outcome.fields, options.json);
  return ok_status();
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "train", "Adapt a model to your data",
      "fieldtune train kws.tflite --data recordings --front-end mlperf-kws "
      "--new-head --train-per-class 10 --rank 4 --ram 256K --out "
      "me.safetensors",
      run);
}

}  // namespace ft::cli
