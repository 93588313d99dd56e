#!/usr/bin/env bash
# overlay.sh PROGRAM SCENE BASE OUT [FILE] - BASE (an archive of initramfs.sh) with the program under test, /init and
# a file in / added.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/bin"
install -m 755 "$1" "$work/bin/plimsoll"
install -m 755 "$2" "$work/init"
[ $# -lt 5 ] || cp "$5" "$work/"
(cd "$work" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 | cat "$3" - >"$4"
