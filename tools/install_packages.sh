#!/bin/sh
# Usage: tools/install_packages.sh GROUP...
# Installs those packages of tools/debian-packages.txt in the named groups that
# are not installed yet. Asks apt only if something is missing, so an offline
# machine that has all of them needs no network. Runs as root or with sudo.
set -eu
list=$(dirname "$0")/debian-packages.txt

if ! command -v dpkg-query >/dev/null; then
  echo "install_packages: not a Debian system; install what $list names" >&2
  exit 1
fi

missing=
for package in $(awk -v groups=" $* " \
    '!/^#/ && index(groups, " " $1 " ") { print $2 }' "$list"); do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) ||
    status=absent
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=env
elif command -v sudo >/dev/null; then
  as_root="sudo env"
else
  echo "install_packages: run as root: apt-get install$missing" >&2
  exit 1
fi
echo "Installing Debian packages:$missing"
quiet=DEBIAN_FRONTEND=noninteractive
$as_root $quiet apt-get update -qq
# shellcheck disable=SC2086  # the lists are meant to be split
$as_root $quiet apt-get install -y -qq \
  --no-install-recommends $missing
