#!/bin/sh
# rounds.sh - in the guest, at the end of each boot: what the boot before foretold is noted beside what came; then the
# next case's files are put in place, `plimsoll boot` foretells, and the machine reboots.
#
# /rounds (a disk of its own) holds plimsoll, cases/NAME/{tree.tar,run}, and order: the names, one a line. A case's `run`
# is called when its files are in place and before the forecast: with it `plimsoll fix persist` is tried. Its `then` is
# called after the reboot: with it `plimsoll undo`.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /rounds || exit 1
show() { for f in /proc/sys/net/netfilter/nf_conntrack_*; do [ -e "$f" ] && echo "${f##*/} $(cat "$f")"; done; }

# What a case brings to be run, what it says, and how it ends.
tried() {
    [ -x "cases/$1/$2" ] || return 0
    PLIMSOLL=/rounds/plimsoll "cases/$1/$2" >"results/$1/$2" 2>&1
    echo $? >"results/$1/$2.status"
    echo "@@ $1: $2 ended with $(cat "results/$1/$2.status")"
}

at=$(cat at 2>/dev/null || echo 0)
if [ "$at" -gt 0 ]; then
    name=$(sed -n "${at}p" order)
    show >"results/$name/observed"
    { dmesg | grep -iE 'conntrack|sysctl'; journalctl -b -o cat -u systemd-sysctl -u systemd-modules-load -u systemd-udevd --no-pager; } >"results/$name/log" 2>&1
    echo "@@ $name observed, $(cut -d' ' -f1 /proc/uptime) s after the start"
    tried "$name" then
    # The case's files go as they came.
    while read -r path; do rm -f "/$path"; done <"results/$name/files"
    if [ -e backup.tar ]; then tar -C / -xf backup.tar && rm -f backup.tar; fi
fi
at=$((at + 1))
echo "$at" >at
name=$(sed -n "${at}p" order)
if [ -z "$name" ]; then
    sync
    mount -o remount,ro /rounds
    echo "@@ END"
    poweroff -f
fi
# As on a host where nothing tracks yet.
nft flush ruleset 2>/dev/null
modprobe -r nf_conntrack_netlink nft_ct nf_conntrack 2>/dev/null
mkdir -p "results/$name"
tar -tf "cases/$name/tree.tar" | grep -v '/$' | sed 's|^\./||' >"results/$name/files"
(cd / && while read -r path; do [ -e "$path" ] && echo "$path"; done) <"results/$name/files" >had
[ -s had ] && tar -C / -cf backup.tar -T had
tar -C / -xf "cases/$name/tree.tar" --keep-directory-symlink
tried "$name" run
/rounds/plimsoll boot --json >"results/$name/foretold.json" 2>"results/$name/stderr"
echo "@@ $name foretold ($?)"
sync
reboot -f
