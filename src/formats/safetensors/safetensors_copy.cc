// Test tool: `safetensors_copy in out` parses a file and writes what it found;
// exits with the code of the error if it finds one.
#include <cstdio>

#include "base/file.h"
#include "formats/safetensors/safetensors.h"

namespace {

ft::Status copy(const char* in, const char* out) {
  FT_TRY(const ft::MappedFile file, ft::MappedFile::open(in));
  FT_TRY(const ft::Safetensors parsed, ft::parse_safetensors(file.bytes()));
  FT_TRY(const std::vector<std::byte> bytes,
         ft::write_safetensors(parsed.tensors, parsed.metadata));
  return ft::write_file_atomically(out, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: safetensors_copy in out\n");
    return ft::exit_code(ft::Code::kUsage);
  }
  const ft::Status status = copy(argv[1], argv[2]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return ft::exit_code(status.code());
}
