#!/usr/bin/env bash
# root.sh CACHE - a Debian with systemd, nftables and procps in CACHE/systemd/root; made once.
#
# It takes the mirror that this machine uses already. Nothing of the host is changed.
set -euo pipefail
cache=$1/systemd
mkdir -p "$cache"
if [ -e "$cache/root/etc/debian_version" ] && [ -e "$cache/whole" ]; then exit 0; fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -1)
[ -n "$mirror" ] || { echo "no mirror is known to apt" >&2; exit 1; }
rm -rf "$cache/root" "$cache/whole"
debootstrap --variant=minbase --include=systemd-sysv,udev,kmod,nftables,procps \
    bookworm "$cache/root" "$mirror" >"$cache/debootstrap.log" 2>&1 || { tail -3 "$cache/debootstrap.log" >&2; exit 1; }
touch "$cache/whole"
