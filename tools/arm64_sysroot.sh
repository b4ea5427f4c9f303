#!/bin/bash
# Usage: tools/arm64_sysroot.sh FOLDER
# Unpacks the libraries that fieldtune links, as Debian 12 has them for arm64,
# below FOLDER, for cmake/arm64.cmake. apt keeps its lists for that in FOLDER
# too, so nothing of this machine's own package state changes.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
[ ! -e "$folder/.complete" ] || exit 0

packages=(libc6-dev libstdc++-12-dev libfmt-dev libsodium-dev libsqlite3-dev
  libsndfile1-dev libsamplerate0-dev libhwy-dev libdnnl-dev libgtest-dev libgmock-dev
  libbenchmark-dev nlohmann-json3-dev libcli11-dev libflatbuffers-dev
  libtomlplusplus-dev)
mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
: >"$folder/apt/status"
options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64
  -o Dir::State::Lists="$folder/apt/lists"
  -o Dir::State::status="$folder/apt/status"
  -o Dir::Cache::archives="$folder/apt/archives"
  -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  -o APT::Sandbox::User=root -o Debug::NoLocking=1)
apt-get "${options[@]}" update
apt-get "${options[@]}" install --yes --download-only --no-install-recommends \
  "${packages[@]}"
for file in "$folder"/apt/archives/*.deb; do dpkg-deb -x "$file" "$folder"; done
# Links that point to the root of the machine they were made for.
find "$folder/usr/lib" -type l -lname '/*' | while read -r link; do
  ln -sfn "$folder$(readlink "$link")" "$link"
done
rm -rf "$folder/apt"
touch "$folder/.complete"
