// An adapter, whoever wrote it: a fieldtune file, a folder of Hugging Face PEFT
// or one of AdapterHub.
#pragma once

#include <string>

#include "adapters/adapter_file.h"
#include "adapters/trust/load_checks.h"
#include "base/result.h"

namespace ft {

// The adapter of `path`, once its file, or its folder's, has passed the ten
// load checks (adapters/trust/load_checks.h). A folder made elsewhere names no
// base by its hash; its tensors must fit the base instead, for which
// fit_adapterhub() (adapterhub.h) prepares those of AdapterHub.
Result<Adapter> load_any_adapter(const std::string& path,
                                 const LoadRules& rules = {});

// The file that holds the tensors of what `path` is.
std::string adapter_tensor_file(const std::string& path);

}  // namespace ft
