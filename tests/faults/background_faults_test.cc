// Power cuts and failing calls at every write of a training in the background:
// its versions are whole and signed whenever they are there, in the folder and
// in the store, and it goes on from its checkpoint to the same adapters: none
// is lost, and none is there twice.
#include <gtest/gtest.h>

#include "tests/faults/fault_run.h"

namespace ft::faults {
namespace {

class BackgroundFaults : public FaultTest {};

TEST_F(BackgroundFaults, PublishingAndPromoting) {
  const std::string script = "{here}background_fault_script ";
  shell("{here}fieldtune keys generate {in}/key && " + script +
        "model {in}/model.tflite && mkdir {in}/whole && " + script +
        "train {in}/whole {in}");
  explore({.name = "background training",
           .command = script + "train {root} {in}",
           .retry = script + "finish {root} {in} {in}/whole",
           .same_files = false,
           .in_place = "store/"});
}

}  // namespace
}  // namespace ft::faults
