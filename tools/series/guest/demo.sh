#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# Guest side of demo: prepares two devices as root and drives them as user 1000.
# shellcheck shell=dash
cd /demo || exit 1
datagrams=${1:-10000}
pci=/sys/bus/pci
failures=0

# Kernel messages from warnings up only.
dmesg -n 5

say() { echo "   $*"; }
title() { echo; echo "== $*"; }
fail() { echo "   FAILED: $*"; failures=$((failures + 1)); }
finish() { echo; echo "demo: $failures failed"; exit 1; }
fatal() { fail "$*"; dmesg | tail -n 25; finish; }

# Become user 1000, who may lock 4 MiB of memory, and run a command: in a subshell.
as_user() {
	ulimit -l 4096 || exit 1
	exec su -s /bin/sh user -c "exec $*"
}

find_device() {
	for d in "$pci"/devices/*; do
		[ "$(cat "$d/vendor") $(cat "$d/device")" = "$1" ] || continue
		basename "$d"
		return 0
	done
	return 1
}

# Hand a device to the driver "vfio"; sets node.
bind() {
	[ ! -e "$pci/devices/$1/driver" ] || echo "$1" > "$pci/devices/$1/driver/unbind"
	echo vfio > "$pci/devices/$1/driver_override"
	echo "$1" > $pci/drivers_probe
	for d in "$pci/drivers/vfio/$1/vfio"/vfio*; do
		node=/dev/$(basename "$d")
		[ -c "$node" ] && return 0
	done
	fatal "$1 is not bound to the driver vfio"
}

# exchange FILE: one run of igbvf, its result in FILE
exchange() {
	(as_user ./igbvf -n "$datagrams" "$vf") > "$1" 2>&1
	rc=$?
	sed 's/^/   /' "$1"
	[ $rc = 0 ] || fail "igbvf: exit status $rc"
	grep -q "^sent $datagrams received $datagrams lost 0 .* round trips $datagrams\$" "$1" ||
		fail "not all $datagrams datagrams came back"
}

title "the machine"
say "Linux $(uname -r), $(grep -c ^processor /proc/cpuinfo) processors"
dmesg | grep -o 'DMAR-IR: Enabled IRQ remapping.*' | sed 's/^/   /' | grep . ||
	fail "no interrupt remapping"
[ -c /dev/uiommu ] || fatal "there is no /dev/uiommu"
chmod 666 /dev/uiommu
say "$(stat -c '%A %U %n' /dev/uiommu)"

title "root: a virtual function of the 82576 network adapter"
pf=$(find_device '0x8086 0x10c9') || fatal "no 82576"
eth=$(ls "$pci/devices/$pf/net")
ip link set "$eth" up
ip addr add 192.168.76.1/24 dev "$eth"
echo 1 > "$pci/devices/$pf/sriov_numvfs"
vf=$(basename "$(readlink "$pci/devices/$pf/virtfn0")")
bind "$vf"
say "$pf: driver igb, $eth, 192.168.76.1"
say "$vf: driver vfio, $node"
./udpecho & echo_pid=$!

title "user: without permission for $node"
(as_user ./igbvf -n 1 "$vf") 2>&1 | sed 's/^/   /' | tee /tmp/denied
grep -q 'Permission denied' /tmp/denied || fail "was let in"

title "root: chown user $node"
chown user "$node"
say "$(stat -c '%A %U %n' "$node")"

title "user: exchange $datagrams datagrams with $eth through $vf"
exchange /tmp/run1

title "user: again without end, killed by SIGKILL under traffic"
as_user ./igbvf -f "$vf" > /tmp/run2 2>&1 & pid=$!
n=0
until [ "$(grep -c '^igbvf: sent' /tmp/run2)" -ge 3 ] || [ $n -ge 60 ]; do
	sleep 0.5
	n=$((n + 1))
done
privilege=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/uid \1/p; s/^CapEff:[[:space:]]*/capabilities /p' \
	/proc/$pid/status | tr '\n' ' ')$(sed -n 's/^Max locked memory *\([0-9]*\) .*/locked memory up to \1 bytes/p' \
	/proc/$pid/limits)
program=$(basename "$(readlink /proc/$pid/exe)")
kill -9 $pid
wait $pid
rc=$?
sed 's/^/   /' /tmp/run2
say "$program, $privilege: ended with $rc"
[ "$program" = igbvf ] || fail "the program had ended before"
[ $rc = 137 ] || fail "not killed by SIGKILL"
[ "$privilege" = "uid 1000 capabilities 0000000000000000 locked memory up to 4194304 bytes" ] ||
	fail "not an ordinary user"
grep -q '^igbvf: sent' /tmp/run2 || fail "there was no traffic"

title "user: started again at once"
exchange /tmp/run3
kill $echo_pid

title "root: the edu device, chown user"
edu=$(find_device '0x1234 0x11e8') || fatal "no edu"
bind "$edu"
chown user "$node"
say "$edu: driver vfio, $node"

title "user: registers, INTx, MSI and DMA of $edu"
(as_user ./edu "$edu") > /tmp/edu 2>&1 || fail "edu: exit status $?"
sed 's/^/   /' /tmp/edu
(as_user ./first "$node") > /tmp/first 2>&1 || fail "first: exit status $?"
sed 's/^/   first: /' /tmp/first

title "the kernel's log"
fault='DMAR:.*(fault|\[DMA|\[INTR)|DMAR-IR:.*fault'
defect='WARNING:|BUG:|Oops|cut here|Call Trace|general protection|blocked for more|UBSAN|KASAN|refcount_t'
dmesg | grep -E 'vfio|uiommu' | sed 's/^/   /'
if dmesg | grep -E "$fault|$defect" > /tmp/defects; then
	fail "the kernel complained:"
	cat /tmp/defects
else
	say "no DMA fault, no warning"
fi

[ $failures = 0 ] || finish
cat << END

----------------------------------------------------------------------
What a user-level driver did here as uid 1000, with no capability and
at most 4 MiB of locked memory, on a machine with an IOMMU:

 82576 virtual function (8086:10ca), UDP through its own rings and MSI-X
   $(tail -n 1 /tmp/run1)
 killed under traffic, started again at once
   $(tail -n 1 /tmp/run3)
 edu device (1234:11e8): registers, INTx, MSI, DMA out and back
   $(tail -n 1 /tmp/edu | sed 's/^edu: //') checks
 kernel: no DMA fault, no warning
----------------------------------------------------------------------
END
