#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Bind the devices that the tests know to the driver "vfio", and run the tests
# on them as root and as an ordinary user. Needs root and nothing else than a
# shell and busybox: made for an initramfs, made to work elsewhere. BEWARE, it
# takes the devices from the drivers that have them.
#
# In the environment:
#   UIOMMU_TESTS	programs to run (default: all but torture and fuzz)
#   UIOMMU_ARGS		arguments for them: "-t name" runs one test, see -h
#   UIOMMU_USERS	who runs them: root, user or both (default)
#   UIOMMU_LIMIT	seconds for one program (default: 600)
#   UIOMMU_STRESS	seconds that irq:edu.stress takes (default: 3)
#   UIOMMU_TORTURE	seconds that torture takes (default: 10)
#   UIOMMU_FUZZ		seconds that fuzz takes (default: 10)
#   UIOMMU_SEED		what torture and fuzz begin with, to repeat a run
#   UIOMMU_MONITOR	a terminal that leads to the monitor of QEMU, when there is one
#
# Ends with 0 when every test passed, 1 when one failed or none could be run,
# 4 when the machine has no such device.
all="abi space map memory event region config_space irq"
# The last one has a device powered off, for good on some machines.
all="$all tell unplug pair fail lifecycle"
tests=${UIOMMU_TESTS:-$all}
users=${UIOMMU_USERS:-root user}
# Seconds for one program
limit=${UIOMMU_LIMIT:-600}
# Bytes that the ordinary user may lock
memlock=268435456
uid=1000
pci=/sys/bus/pci/devices

cd "$(dirname "$0")" || exit 1

skip_all() {
	echo "1..0 # SKIP $1"
	exit 4
}

# find_pci VENDOR DEVICE: addresses of the devices of that kind
find_pci() {
	for d in "$pci"/*; do
		[ "$(cat "$d/vendor")" = "0x$1" ] || continue
		[ "$(cat "$d/device")" = "0x$2" ] || continue
		basename "$d"
	done
}

# with 0|1 FILE ADDRESS...: those that have it, or have it not
with() {
	want=$1
	file=$2
	shift 2
	for d; do
		[ -e "$pci/$d/$file" ] && has=1 || has=0
		[ "$has" != "$want" ] || echo "$d"
	done
}

# functions 0|1 ADDRESS...: those that are alone in their slot, or with others
functions() {
	want=$1
	shift
	for d; do
		[ -e "$pci/${d%.*}.1" ] && has=1 || has=0
		[ "$has" != "$want" ] || echo "$d"
	done
}

driver_of() {
	[ -e "$pci/$1/driver" ] && basename "$(readlink -f "$pci/$1/driver")"
}

node_of() {
	for n in "$pci/$1"/vfio/vfio[0-9]*; do
		[ -e "$n" ] && echo "/dev/${n##*/}"
	done
}

# Wait up to 5 seconds for a condition.
wait_for() {
	tries=0
	until eval "$1"; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || return 1
		sleep 0.1
	done
}

# bind ADDRESS: give a device to "vfio" and its node to the user
bind() {
	now=$(driver_of "$1")
	if [ "$now" != vfio ]; then
		[ -z "$now" ] || echo "$1" > "$pci/$1/driver/unbind"
		echo vfio > "$pci/$1/driver_override"
		echo "$1" > /sys/bus/pci/drivers_probe
	fi
	if ! wait_for "[ -c \"\$(node_of $1)\" ]"; then
		echo "# $1 cannot be bound"
		return 1
	fi
	chown $uid:$uid "$(node_of "$1")"
	chmod 600 "$(node_of "$1")"
}

# take NAME ADDRESS...: bind the first of the devices and remember it as NAME
take() {
	name=$1
	shift
	if [ $# = 0 ]; then
		missing="$missing $name"
		return
	fi
	bind "$1" || return
	export "UIOMMU_$name=$1"
	names="$names $name"
	bound="$bound $1"
	echo "# $name $1 $(node_of "$1") group $(group_of "$1")"
}

# Programs before may have bound devices anew, or lost them.
take_again() {
	for n in $names; do
		eval "device=\${UIOMMU_$n:-}"
		[ -n "$device" ] || continue
		[ -d "$pci/$device" ] && bind "$device" && continue
		echo "# $n is gone"
		unset "UIOMMU_$n"
	done
}

group_of() {
	basename "$(readlink -f "$pci/$1/iommu_group")"
}

# idle ADDRESS...: network cards without virtual functions that are not up
idle() {
	for d; do
		[ "$d" != "${UIOMMU_PF:-}" ] || continue
		for net in "$pci/$d"/net/*; do
			[ ! -e "$net" ] || [ $(($(cat "$net/flags") & 1)) = 0 ] || continue 2
		done
		echo "$d"
	done
}

# The virtual functions of a network card that the kernel drives
make_vfs() {
	for pf in $(find_pci 8086 10c9); do
		[ "$(driver_of "$pf")" = igb ] || continue
		# QEMU's has none where pages are larger than its BARs.
		[ -e "$pci/$pf/sriov_numvfs" ] || continue
		export "UIOMMU_PF=$pf"
		for net in "$pci/$pf"/net/*; do
			ip link set "${net##*/}" up
		done
		[ "$(cat "$pci/$pf/sriov_numvfs")" -ge 2 ] ||
			echo 2 > "$pci/$pf/sriov_numvfs"
		wait_for "[ -e $pci/$pf/virtfn1 ]"
		return
	done
}

# Does the user $u run the program $t?  Some are for root alone.
runs() {
	case $t:$u in
	lifecycle:user | tell:user | unplug:user | fail:user | torture:user) return 1 ;;
	esac
}

[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -d $pci ] || skip_all "no PCI bus"
modprobe -q vfio-uiommu-pci 2> /dev/null
[ -d /sys/bus/pci/drivers/vfio ] || skip_all "no PCI driver \"vfio\""
[ -n "$(ls /sys/kernel/iommu_groups 2> /dev/null)" ] || skip_all "no IOMMU"

echo "KTAP version 1"
bound='' names='' missing=''
make_vfs
vfs=$(find_pci 8086 10ca)
# shellcheck disable=SC2046,SC2086
{
	take VF $vfs
	set -- $vfs
	[ $# = 0 ] || shift
	take VF2 "$@"
	take EDU $(functions 0 $(find_pci 1234 11e8))
	set -- $(functions 1 $(find_pci 1234 11e8))
	take PAIR1 "$@"
	[ $# = 0 ] || shift
	take PAIR2 "$@"
	take TESTDEV $(find_pci 1b36 0005)
	take NVME $(find_pci 1b36 0010)
	take E1000E $(find_pci 8086 10d3)
	take IGB $(idle $(find_pci 8086 10c9))
	take VIRTIO $(find_pci 1af4 1041)
	take IVSHMEM $(with 0 resource1 $(find_pci 1af4 1110))
	take DOORBELL $(with 1 resource1 $(find_pci 1af4 1110))
	take XHCI $(find_pci 1033 0194)
}
if [ -z "$bound" ]; then
	echo "1..0 # SKIP none of the devices that the tests know"
	exit 4
fi
for a in $bound; do
	for b in $bound; do
		expr "$a" \< "$b" > /dev/null || continue
		[ "$(group_of "$a")" = "$(group_of "$b")" ] || continue
		export "UIOMMU_SIBLING1=$a" "UIOMMU_SIBLING2=$b"
	done
done

# The tests read the kernel log, also those of the ordinary user.
echo 0 > /proc/sys/kernel/dmesg_restrict
# Of 2 MiB, which all machines have; the default size can be most of the memory.
huge=hugepages-2048kB
echo 16 > /sys/kernel/mm/hugepages/$huge/nr_hugepages
# With pages of 64 KiB such transparent ones are not what the hardware calls huge.
thp=/sys/kernel/mm/transparent_hugepage/$huge/enabled
[ ! -w $thp ] || grep -q '\[inherit\]' $thp || echo madvise > $thp
# Machines without interrupt isolation: lifecycle sees to it that this is needed.
for p in /sys/module/*uiommu*/parameters/allow_unsafe_interrupts; do
	[ ! -w "$p" ] || echo Y > "$p"
done

num=0
for t in $tests; do
	for u in $users; do
		runs || continue
		num=$((num + 1))
	done
done
echo "1..$num"

out=$(mktemp -d /tmp/uiommu.XXXXXX) || exit 1
trap 'rm -rf "$out"' EXIT
: > "$out/all"
num=0 failed=0
for t in $tests; do
	for u in $users; do
		runs || continue
		num=$((num + 1))
		take_again
		as=''
		[ "$u" = root ] || as="./asuser $uid $memlock"
		# shellcheck disable=SC2086
		{
			timeout -s KILL $limit $as "./$t" ${UIOMMU_ARGS:-} 2>&1
			echo $? > "$out/status"
		} | tee "$out/one" | sed 's/^/  /'
		status=$(cat "$out/status")
		sed -n "/^\(not \)\{0,1\}ok /s/^/$u $t: /p" "$out/one" >> "$out/all"
		# The number of tests that it said it has, and a proper end
		plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$out/one" | head -n 1)
		done=$(grep -c '^\(not \)\{0,1\}ok ' "$out/one")
		if [ "$status" = 4 ]; then
			echo "ok $num $t as $u # SKIP"
		elif [ "$status" = 0 ] && [ "$done" = "${plan:-none}" ]; then
			echo "ok $num $t as $u"
		else
			echo "not ok $num $t as $u # status $status, $done of ${plan:-no} tests"
			failed=$((failed + 1))
		fi
	done
done

skipped=$(grep -c '# SKIP' "$out/all")
bad=$(grep -c ': not ok ' "$out/all")
passed=$(grep ': ok ' "$out/all" | grep -vc '# SKIP')
echo "# ran $((passed + bad)) tests: $passed passed, $bad failed; $skipped skipped"
[ -z "$missing" ] || echo "# devices that are not here:$missing"
if [ "$skipped" != 0 ]; then
	echo "# skipped:"
	sed -n '/# SKIP/s/: ok [0-9]* \(.*\)# SKIP */: \1- /p' "$out/all" | sed 's/^/#   /'
fi
if [ "$bad" != 0 ]; then
	echo "# failed:"
	sed -n 's/: not ok [0-9]* /: /p' "$out/all" | sed 's/^/#   /'
fi
[ "$failed" = 0 ] && [ "$passed" != 0 ]
