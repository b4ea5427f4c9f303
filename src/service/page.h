// The page at "/": page.html, which this folder's build turns into a constant.
#pragma once

#include <string_view>

namespace ft::service {

std::string_view page_html();

}  // namespace ft::service
