#!/bin/bash
# Usage: tools/fresh_machine.sh FOLDER TARGET...
# Proves that the Makefile's targets work on a machine that has only Debian 12,
# git, make and a network: makes such a root with debootstrap in FOLDER/root
# (kept for the next call; delete FOLDER for a really fresh one), clones this
# repository's HEAD into it, and runs `make TARGET` for each, with the time that
# it took. Real inputs (../shared) are visible there if they are here.
# Needs root. Not a container: the network and the kernel are this machine's.
set -euo pipefail
if [ $# -lt 2 ] || [ "$(id -u)" != 0 ]; then
  echo "usage (as root): tools/fresh_machine.sh FOLDER TARGET..." >&2
  exit 2
fi
repo=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
root=$folder/root
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# --- The machine ---------------------------------------------------------------
if [ ! -e "$root/.complete" ]; then
  # An interrupted debootstrap may have left its own mounts.
  umount "$root/proc" "$root/sys" 2>/dev/null || true
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include=git,make bookworm "$root" "$mirror" \
    >"$folder/debootstrap.log" 2>&1 ||
    { tail -5 "$folder/debootstrap.log" >&2; exit 1; }
  touch "$root/.complete"
fi

# Bound folders are released even if a target fails, last one first; a root with
# something still mounted below must never be deleted.
mounted=()
release() {
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount "${mounted[$i]}"; done
}
trap release EXIT
bind() { # bind SOURCE TARGET [OPTION]
  [ -e "$1" ] || return 0
  mkdir -p "$root$2"
  mount --bind ${3:+-o "$3"} "$1" "$root$2"
  mounted+=("$root$2")
}
mount -t proc proc "$root/proc" && mounted+=("$root/proc")
bind /dev /dev

# --- How this machine reaches its package indexes ---------------------------------
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
environment=(HOME=/root LANG=C.UTF-8 TERM=dumb
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
if [ -d /usr/local/share/ca-certificates ]; then
  mkdir -p "$root/usr/local/share"
  cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
fi
[ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$root/etc/pip.conf"
[ ! -e ~/.config/pip/pip.conf ] ||
  install -D ~/.config/pip/pip.conf "$root/root/.config/pip/pip.conf"
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
    $(compgen -e PIP_); do
  [ -z "${!name-}" ] || environment+=("$name=${!name}")
done
for store in /opt/wheels /opt/pypi /opt/pypi-more; do bind "$store" "$store" ro; done

# --- The clone and the run --------------------------------------------------------
rm -rf "$root/work/main"
mkdir -p "$root/work"
git clone -q --no-hardlinks "$repo" "$root/work/main"
bind "$repo/../shared" /work/shared ro

status=0
for target in "$@"; do
  start=$SECONDS
  log=$folder/${target//[^a-z0-9]/_}.log
  if chroot "$root" env -i "${environment[@]}" \
      make -C /work/main "$target" >"$log" 2>&1; then
    verdict=passed
  else
    verdict=FAILED
    status=1
  fi
  echo "fresh machine: make $target $verdict after $((SECONDS - start)) s ($log)"
  [ $verdict = passed ] || tail -20 "$log"
done
exit $status
