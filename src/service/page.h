// The page at "/": page.html, which this folder's build turns into a constant.
#pragma once

#include <string>
#include <string_view>

namespace ft::service {

std::string_view page_html();
// Of the header Content-Security-Policy: the page's own style and script, by
// their hashes, and nothing else.
const std::string& page_policy();

}  // namespace ft::service
