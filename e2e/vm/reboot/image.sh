#!/usr/bin/env bash
# image.sh CACHE KERNEL OUT - the root file system with the kernel's modules as OUT/root.ext4, OUT/vmlinuz, and an
# OUT/initrd that mounts it. Made once for each kernel.
set -euo pipefail
cache=$1 kernel=$2 out=$3
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
cp -a --reflink=auto "$cache/systemd/root" "$root"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}

modules=$(find "$kernel" -type d -path '*lib/modules/*' -prune | head -1)
release=$(basename "$modules")
# What a host needs to find its disks and to track; the rest of the kernel's modules only costs time.
mkdir -p "$work/tree/lib/modules" "$root/usr/lib/modules/$release"
cp -a "$modules" "$work/tree/lib/modules/"
depmod -b "$work/tree" "$release" 2>/dev/null
for module in virtio_blk nf_conntrack nf_conntrack_netlink nf_tables nft_ct nft_compat nft_chain_nat nft_counter nft_limit \
    xt_conntrack xt_tcpudp ip_tables iptable_filter af_packet; do
    modprobe -d "$work/tree" -S "$release" --show-depends "$module" 2>/dev/null || true
done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
    place=$root/usr/${file#"$work/tree/"}
    mkdir -p "$(dirname "$place")"
    cp "$file" "$place"
    case $place in
    *.xz) xz -d "$place" ;;
    *.zst) zstd -qd --rm "$place" ;;
    esac
done
cp "$modules"/modules.{builtin,builtin.modinfo,order} "$root/usr/lib/modules/$release/"
depmod -b "$root" "$release"
mkdir -p "$root/boot"
cp "$(find "$kernel" -name "config-$release" | head -1)" "$root/boot/"

# Nothing that a test has to wait for.
ln -sf /dev/null "$root/etc/systemd/system/systemd-timesyncd.service"
for unit in getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-update-utmp.service systemd-pstore.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
rm -f "$root/etc/systemd/system/default.target"
ln -s /etc/systemd/system/rounds.target "$root/etc/systemd/system/default.target"
cat >"$root/etc/systemd/system/rounds.target" <<'UNIT'
[Unit]
Requires=multi-user.target
After=multi-user.target
Wants=rounds.service
AllowIsolate=yes
UNIT
cat >"$root/etc/systemd/system/rounds.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c "mountpoint -q /rounds || mount /dev/vdb /rounds; exec sh /rounds/rounds.sh"
StandardOutput=tty
TTYPath=/dev/ttyS0
UNIT
mkdir -p "$root/rounds"
echo reboot-test >"$root/etc/hostname"
rm -f "$root"/etc/machine-id
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
truncate -s 600M "$out/root.ext4.new"
mkfs.ext4 -q -F -d "$root" "$out/root.ext4.new"
mv "$out/root.ext4.new" "$out/root.ext4"

init=$work/initrd
mkdir -p "$init"/{bin,dev,proc,root}
cp "$(command -v busybox)" "$init/bin/busybox"
cp "$root/usr/lib/modules/$release"/kernel/drivers/block/virtio_blk.ko "$init/" 2>/dev/null || true
cat >"$init/init" <<'INIT'
#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
[ -e /virtio_blk.ko ] && busybox insmod /virtio_blk.ko
n=0
while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do busybox sleep 0.05; n=$((n + 1)); done
busybox mount -t ext4 /dev/vda /root || exec busybox poweroff -f
busybox mount --move /dev /root/dev
exec busybox switch_root /root /sbin/init
INIT
chmod +x "$init/init"
(cd "$init" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$out/initrd"
cp "$(find "$kernel" -type f -name 'vmlinuz*' | head -1)" "$out/vmlinuz"
