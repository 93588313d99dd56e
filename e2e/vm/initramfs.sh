#!/usr/bin/env bash
# initramfs.sh KERNEL OUT - from an unpacked kernel package: OUT/vmlinuz and OUT/base.cpio.gz (tools and modules).
#
# What changes with every run (the program and the scene) comes in a second archive, appended by overlay.sh. The
# modules are there to be loaded by whoever asks for them: /sbin/modprobe works in the guest.
set -euo pipefail
here=$(dirname "$0")
kernel=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$out" "$root"/{proc,sys,dev,tmp,run,bin,sbin,etc,var/log,lib/modules}

modules=$(find "$kernel" -type d -path '*lib/modules/*' -prune | head -1)
release=$(basename "$modules")
mkdir -p "$work/tree/lib/modules"
cp -a "$modules" "$work/tree/lib/modules/"
depmod -b "$work/tree" "$release" 2>/dev/null

wanted="nf_conntrack nf_conntrack_netlink nf_conntrack_ftp nf_conntrack_pptp nfnetlink nfnetlink_cttimeout
    nfnetlink_log nf_tables
    nft_ct nft_compat nft_chain_nat nft_limit nft_log nft_connlimit nft_counter nf_log_syslog nf_log_ipv4 nf_log_ipv6
    ip_tables iptable_filter iptable_nat iptable_raw iptable_mangle ip6_tables ip6table_filter ip6table_raw
    xt_conntrack xt_CT xt_addrtype xt_comment xt_LOG xt_limit xt_tcpudp xt_MASQUERADE xt_nat veth 8021q af_packet
    inet_diag tcp_diag udp_diag raw_diag unix_diag netlink_diag af_packet_diag sctp dccp"
for module in $wanted; do
    modprobe -d "$work/tree" -S "$release" --show-depends "$module" 2>/dev/null || true
done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
    place=$root/${file#"$work/tree/"}
    mkdir -p "$(dirname "$place")"
    cp "$file" "$place"
    case $place in
    *.xz) xz -d "$place" ;;
    *.zst) zstd -qd --rm "$place" ;;
    esac
done
cp "$work/tree/lib/modules/$release"/modules.builtin* "$root/lib/modules/$release/"
cp "$work/tree/lib/modules/$release"/modules.order "$root/lib/modules/$release/" 2>/dev/null || true
depmod -b "$root" "$release"

. "$here/put.sh"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list | grep -vxE 'busybox|modprobe|rmmod|insmod|lsmod|depmod|modinfo|ip|setpriv'); do
    ln -s busybox "$root/bin/$applet"
done
put "$(command -v kmod)" sbin/kmod
for name in modprobe rmmod insmod lsmod; do ln -s kmod "$root/sbin/$name"; done
put "$(command -v xtables-legacy-multi)" sbin/xtables-legacy-multi
put "$(command -v xtables-nft-multi)" sbin/xtables-nft-multi
for name in iptables {ip,ip6}tables-legacy{,-save,-restore}; do
    ln -s xtables-legacy-multi "$root/sbin/$name"
done
for name in iptables-nft iptables-nft-save; do ln -s xtables-nft-multi "$root/sbin/$name"; done
put "$(command -v nft)" sbin/nft
put "$(command -v conntrack)" sbin/conntrack
put "$(command -v ip)" sbin/ip
put "$(command -v setpriv)" sbin/setpriv
extensions=$(dirname "$(find /usr/lib -name libxt_conntrack.so | head -1)")
mkdir -p "$root$extensions"
cp "$extensions"/lib{xt,ipt,ip6t}_*.so "$root$extensions/"

echo "root:x:0:0:root:/:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh" >"$root/etc/passwd"
echo "root:x:0:
nogroup:x:65534:" >"$root/etc/group"
cp -L /etc/os-release "$root/etc/os-release"

cp "$(find "$kernel" -type f -name 'vmlinuz*' | head -1)" "$out/vmlinuz"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$out/base.cpio.gz.new"
mv "$out/base.cpio.gz.new" "$out/base.cpio.gz"
