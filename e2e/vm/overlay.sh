#!/usr/bin/env bash
# overlay.sh PROGRAM SCENE BASE OUT [FILE [MORE…]] - BASE (an archive of initramfs.sh) with the program under test, /init,
# a file in /, and more programs of this machine with their libraries added.
set -euo pipefail
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/bin" "$work/sbin"
install -m 755 "$1" "$work/bin/plimsoll"
install -m 755 "$2" "$work/init"
[ $# -lt 5 ] || cp "$5" "$work/"
root=$work
. "$here/put.sh"
for name in "${@:6}"; do put "$(command -v "$name")" "sbin/$name"; done
(cd "$work" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 | cat "$3" - >"$4"
