#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Guest side of tools/series/bench: bench.sh SETS BACKENDS, in the folder of the
# programs. Output is kept in memory: nothing is printed while something is measured.
sets=$1 backends=$2
pci=/sys/bus/pci/devices
out=/tmp/out

# Periodic work that would land in a measurement
echo 4000000000 > /sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
echo 3600 > /proc/sys/vm/stat_interval
for p in vfio_iommu_type1/parameters/allow_unsafe_interrupts iommufd/parameters/allow_unsafe_interrupts \
	uiommu/parameters/allow_unsafe_interrupts; do
	[ ! -w /sys/module/$p ] || echo Y > /sys/module/$p
done

edu=
for p in "$pci"/*; do
	[ "$(cat "$p/vendor"):$(cat "$p/device")" = 0x1234:0x11e8 ] && edu=${p##*/}
done
# Where edu is not, what needs no engine for DMA is measured with an igb.
for p in "$pci"/*; do
	[ -n "$edu" ] || [ "$(cat "$p/vendor"):$(cat "$p/device")" != 0x8086:0x10c9 ] || edu=${p##*/}
done
[ -n "$edu" ] || { echo "FATAL no device"; exit 1; }

floor=
if [ -e rigfloor.ko ] && insmod rigfloor.ko; then floor=,kpin,kmap; fi

failed=0
run() {
	echo "# $*" >> $out
	"$@" >> $out 2>&1 || { failed=$((failed + 1)); echo "FAILED $? : $*" >> $out; }
}

echo "# kernel $(uname -r), device $edu, reset $(cat "$pci/$edu/reset_method")" > $out
# Ours is bound again for each program: others take the device away from it.
for s in $(echo "$sets" | tr , ' '); do
	case $s in
	clock) run ./clkcheck ;;
	verify) run ./dmabench -b "$backends" -d "$edu" verify ;;
	region)
		echo 136 > /proc/sys/vm/nr_hugepages
		run ./dmabench -b "$backends$floor" -d "$edu" region
		echo 0 > /proc/sys/vm/nr_hugepages ;;
	small) run ./dmabench -b "$backends$floor" -d "$edu" region 4096 2097152 ;;
	scale) run ./dmabench -b "$backends$floor" -d "$edu" scale 100 1000 10000 60000 ;;
	million) run ./dmabench -b "$backends" -d "$edu" scale 1000000 ;;
	batch) run ./dmabench -b "$backends" -d "$edu" batch ;;
	count) run ./dmabench -b "$backends" -d "$edu" count ;;
	threads) run ./dmabench -b "$backends" -d "$edu" -r 5 threads ;;
	revoke) run ./revoke -b "$backends" -d "$edu" ;;
	setup) run ./dmabench -b "$backends" -d "$edu" -r 5 setup ;;
	irq) for b in $(echo "$backends,uio" | tr , ' '); do run ./irqbench -b "$b" -d "$edu"; done ;;
	cfg) for b in $(echo "$backends" | tr , ' '); do run ./cfgbench -b "$b" -d "$edu"; done ;;
	*) echo "FATAL no set $s" >> $out; failed=1 ;;
	esac
done
echo "# end" >> $out
cat $out
[ $failed = 0 ]
