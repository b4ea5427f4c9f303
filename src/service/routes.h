// The routes of a service: one table that requests, metrics and documentation
// are checked against.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "service/parts.h"

namespace ft::service {

struct Route {
  std::string_view method, path;
  RouteFunction answer;
};

std::span<const Route> all_routes();

// Whether a request of this path may wait for a disk, another process or a
// training: all but those that look at memory, and predictions.
bool may_wait(std::string_view path);

// Where a path is asked by another method: the methods that it has, else "".
std::string allowed_methods(std::string_view path);

// That a browser's page of somebody else does not ask: of a request over the
// network the host must be this machine's, and the origin the service itself.
bool is_from_here(const Call& call);

}  // namespace ft::service
