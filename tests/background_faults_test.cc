// Power cuts and failing calls at every write of a training in the background:
// its versions are whole and signed whenever they are there, in the folder and
// in the store, and it goes on from its checkpoint to the same adapter.
#include <gtest/gtest.h>

#include "tests/faults/fault_run.h"

namespace ft::faults {
namespace {

class BackgroundFaults : public FaultTest {};

TEST_F(BackgroundFaults, PublishingAndPromoting) {
  shell(
      "{here}fieldtune keys generate {in}/key && mkdir {in}/whole && "
      "{here}background_fault_script train {in}/whole {in}/key");
  const std::string train =
      "{here}background_fault_script train {root} {in}/key";
  explore({.name = "background training",
           .command = train,
           .retry = train +
                    " && {here}background_fault_script check {root} {in}/key "
                    "{in}/whole/mine-v3.safetensors",
           .same_files = false,
           .in_place = "store/"});
}

}  // namespace
}  // namespace ft::faults
