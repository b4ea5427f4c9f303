// Value-or-error is part of the public interface, and the same everywhere.
#pragma once

#include "fieldtune/result.h"  // IWYU pragma: export
