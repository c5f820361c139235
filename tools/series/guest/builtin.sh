#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# Drivers that are built in: the device that ids= on the command line of the kernel
# names is bound before the first program runs, and its node can be used at once.
cd /builtin || exit 1
pci=/sys/bus/pci
failures=0

fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}
find_device() {
	for d in "$pci"/devices/*; do
		[ "$(cat "$d/vendor") $(cat "$d/device")" = "$1" ] || continue
		basename "$d"
		return 0
	done
	return 1
}
driver_of() { [ -e "$pci/devices/$1/driver" ] && basename "$(readlink "$pci/devices/$1/driver")"; }

# Nothing here binds a device: who has it got it from the kernel.
edu=$(find_device '0x1234 0x11e8') || fail "no edu"
virtio=$(find_device '0x1af4 0x1041') || fail "no virtio"
[ ! -d /sys/module/uiommu/sections ] || fail "uiommu is a module"
[ "$(driver_of "$edu")" = vfio ] || fail "$edu is bound to \"$(driver_of "$edu")\""
# Its driver is linked before ours.
[ "$(driver_of "$virtio")" = virtio-pci ] || fail "$virtio is bound to \"$(driver_of "$virtio")\""

# initcall_debug has the kernel tell of each probe.
dmesg | grep -E "probe of ($edu|$virtio) with|Run /init as" | tee /tmp/log
sed '/Run \/init as/q' /tmp/log | grep -q "probe of $edu with driver vfio returned 0 " ||
	fail "$edu was not bound before /init"

node=/dev/$(basename "$pci/drivers/vfio/$edu/vfio"/vfio[0-9]*)
[ -c "$node" ] || fail "no $node"
chown user "$node"
chmod 666 /dev/uiommu
chmod 600 "$node"
su -s /bin/sh user -c "exec ./first $node" || fail "the program of the user"
[ $failures = 0 ]
