#!/usr/bin/env bash
# overlay.sh PROGRAM SCENE BASE OUT - BASE (an archive of initramfs.sh) with the program under test and /init added.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/bin"
install -m 755 "$1" "$work/bin/plimsoll"
install -m 755 "$2" "$work/init"
(cd "$work" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 | cat "$3" - >"$4"
