#!/bin/busybox sh
# /init of a guest that compares its kernel with the model: the harness (testkit/fidelity, as /bin/plimsoll) with the
# arguments of /arguments. What it prints goes to the console; its exit status stands behind `@@ STATUS`.
export PATH=/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
ip link set lo up
# What the kernel says is read from /dev/kmsg; the console would only slow it down.
echo 1 >/proc/sys/kernel/printk
for module in veth 8021q af_packet nf_conntrack nf_conntrack_netlink nf_conntrack_ftp nf_conntrack_pptp nf_tables nft_ct \
    nft_counter nf_log_syslog nf_log_ipv4 nf_log_ipv6; do
    /sbin/modprobe $module 2>/dev/null
done
echo "@@ BEGIN $(uname -r)"
plimsoll $(cat /arguments)
echo "@@ STATUS $?"
echo "@@ END"
poweroff -f
