#!/usr/bin/env bash
# boot.sh IMAGE ROUNDS - one machine from its first start to power-off, over as many reboots as it makes: its console on
# stdout, its results on the disk ROUNDS. What it writes to its root disk is thrown away.
#
# Always emulated: where /dev/kvm is there it may be one that hangs a guest. With little more than a gigabyte the defaults
# of limit and buckets are fixed numbers.
exec timeout "${LIMIT:-1200}" qemu-system-x86_64 -accel tcg -cpu qemu64 -smp 1 -m 1280 \
    -nodefaults -display none -serial stdio -kernel "$1/vmlinuz" -initrd "$1/initrd" \
    -drive "file=$1/root.ext4,format=raw,if=virtio,snapshot=on,cache=unsafe" -drive "file=$2,format=raw,if=virtio,cache=unsafe" \
    -append "console=ttyS0 root=/dev/vda panic=-1 random.trust_cpu=on mitigations=off quiet systemd.show_status=no ${APPEND:-}" \
    </dev/null
