#!/bin/bash
# Makes testdata/lvm: three physical volumes of one volume group, written by LVM and device-mapper in
# the appliance of libguestfs, because a container has no device-mapper.
#
# Every 4 KiB block of a logical volume begins with the volume's name and the block's number, so a
# reader that takes a block from the wrong place is found out.
. "$(dirname "$0")/common.sh"
export LIBGUESTFS_BACKEND="${LIBGUESTFS_BACKEND:-direct}"
export LIBGUESTFS_BACKEND_SETTINGS="${LIBGUESTFS_BACKEND_SETTINGS:-force_tcg}"

for number in 1 2 3; do truncate -s 16M "$work/pv$number"; done
numbered() { # NAME MIB
    python3 -c '
import sys
name, mib = sys.argv[1], int(sys.argv[2])
for number in range(mib * 256):
    sys.stdout.write(f"{name} {number}\n".ljust(4096, "\0"))' "$1" "$2" >"$work/$1"
}
numbered small 4
numbered wide-one 26
numbered striped 8

timeout 500 guestfish <<EOF
add $work/pv1 format:raw
add $work/pv2 format:raw
add $work/pv3 format:raw
run
debug sh "lvm pvcreate /dev/sda /dev/sdb /dev/sdc"
debug sh "lvm vgcreate -s 1M data_vg /dev/sda /dev/sdb /dev/sdc"
debug sh "lvm lvcreate -y -n small -l 4 data_vg /dev/sda"
debug sh "lvm lvcreate -y -i 2 -I 64k -n striped -l 8 data_vg /dev/sdb /dev/sdc"
debug sh "lvm lvcreate -y -n wide-one -l 20 data_vg /dev/sda /dev/sdb"
debug sh "lvm lvcreate -y -n between -l 1 data_vg /dev/sdc"
debug sh "lvm lvextend -y -l 26 data_vg/wide-one /dev/sdc"
debug sh "lvm lvcreate -y --type mirror --mirrorlog core -m 1 -n mirrored -l 1 data_vg"
debug sh "lvm lvs -a -o name,segtype,devices data_vg"
upload $work/small /dev/data_vg/small
upload $work/wide-one /dev/data_vg/wide-one
upload $work/striped /dev/data_vg/striped
EOF

mkdir -p "$testdata/lvm"
for number in 1 2 3; do zstd --quiet --force -19 "$work/pv$number" -o "$testdata/lvm/pv$number.zst"; done
