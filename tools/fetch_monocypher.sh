#!/bin/sh
# Usage: tools/fetch_monocypher.sh FOLDER
# Puts the C sources of Monocypher 3.1.2 (Ed25519 for devices) into FOLDER: from
# the source package of monocypher-py, which carries them unchanged, by pip and
# only if its SHA-256 is the one below (docs/decisions/016-device-image.md).
set -eu
folder=$1
package=monocypher-py-0.0.3
sha256=9f1da74704ade57be8f1f93c75526342b0c4515a9548a388cc2f6ddc62ac94a3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo "monocypher-py==0.0.3 --hash=sha256:$sha256" >requirements.txt
/usr/bin/python3 -m venv venv
venv/bin/pip --disable-pip-version-check --quiet download --no-deps \
  --no-build-isolation --no-binary :all: --require-hashes -r requirements.txt
tar -xzf "$package.tar.gz"
cd - >/dev/null

source=$work/$package/src/monocypher-3.1.2-src
mkdir -p "$folder"
for file in monocypher.c monocypher.h optional/monocypher-ed25519.c \
  optional/monocypher-ed25519.h; do
  cp "$source/$file" "$folder/"
done
cp "$work/$package/LICENSE" "$folder/LICENSE" # last: the folder is complete
