#!/bin/bash
# Makes the two disks of the disk bench from the unpacked trees of corpus.sh: GPT, ESP, ext4 root. The
# second is the first, mounted and brought to the second tree, so that it has lived: deleted files, a used
# journal. Needs root and loop devices. What is there is left alone.
set -euo pipefail
bench=${BENCH_DIR:-/var/tmp/imgit-bench}
[ -e "$bench/disk-2.raw" ] && exit 0
cd "$bench"

echo "Making two disks."
rm -f disk-1.raw disk-2.raw
truncate -s 4G disk-1.raw
printf 'label: gpt\nsize=64M,type=uefi\ntype=linux\n' | sfdisk -q disk-1.raw
start=$(sfdisk -J disk-1.raw | jq '.partitiontable.partitions[1].start * 512')
size=$(sfdisk -J disk-1.raw | jq '.partitiontable.partitions[1].size / 2')
mke2fs -q -t ext4 -L root -d trees/app-1 -E "offset=$start" disk-1.raw "${size}k"
truncate -s 64M esp && mkfs.vfat -n ESP esp >/dev/null
dd if=esp of=disk-1.raw bs=1M seek=1 conv=notrunc status=none
rm esp

cp --sparse=always disk-1.raw disk-2.tmp
mkdir -p mnt
mount -o "loop,offset=$start" disk-2.tmp mnt
trap 'umount mnt 2>/dev/null || true' EXIT
# The second version as an update leaves it: what is gone is removed, what is new or changed is written.
(cd mnt && find . -mindepth 1 -not -path ./lost+found -print0 | sort -zr |
    while IFS= read -r -d '' path; do
        [ -e "../trees/app-2/$path" ] || [ -L "../trees/app-2/$path" ] || rm -rf "$path"
    done)
(cd trees/app-2 && find . -type d -print0 | cpio -0pdm --quiet ../../mnt
    find . -not -type d -print0 | while IFS= read -r -d '' path; do
        cmp -s "$path" "../../mnt/$path" || printf '%s\0' "$path"
    done | cpio -0pdmu --quiet ../../mnt)
umount mnt
rmdir mnt
mv disk-2.tmp disk-2.raw
