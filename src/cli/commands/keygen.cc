// fieldtune keygen: a key that signs device images; 'fieldtune keys generate'
// makes the same.
#include "adapters/device_image.h"
#include "cli/commands/commands.h"
#include "cli/output.h"

namespace ft::cli {
namespace {

struct Options {
  std::string key;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("key", key,
                   "file to make: the signing key, readable by you only; the "
                   "public key goes to KEY.pub")
        ->required();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  FT_TRY(const PublicKey key, create_signing_key(options.key));
  print_result({{"signing_key", options.key},
                {"public_key_file", options.key + ".pub"},
                {"public_key", to_hex(key)}},
               options.json);
  return ok_status();
}

}  // namespace

void add_keygen(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "keygen",
                       "Make an Ed25519 key that signs device images",
                       "fieldtune keygen release.key", run);
}

}  // namespace ft::cli
