// The style sheet of a report.
#pragma once

#include <string_view>

namespace ft::cli {

// Colours are Okabe and Ito's, which stay apart for the common kinds of colour
// blindness; the dark theme has them lighter.
std::string_view style_sheet();

}  // namespace ft::cli
