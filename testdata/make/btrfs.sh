#!/bin/sh
# Makes testdata/guest/btrfs.raw.zst: a small btrfs with subvolumes, one in another, and a snapshot.
# Only a kernel makes subvolumes, so this goes through guestfish.
set -eu
cd "$(dirname "$0")/../guest"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
truncate -s 32M disk
mkfs.btrfs -q --mixed -L data -U 11111111-2222-3333-4444-555555555555 disk
cat >commands <<'END'
run
mount-options compress=zstd /dev/sda /
btrfs-subvolume-create /@
btrfs-subvolume-create /@home
mkdir-p /@/etc
mkdir-p /@/var/lib
btrfs-subvolume-create "/@/var/lib/m [1]"
write "/@/var/lib/m [1]/inner" "in a subvolume in a subvolume"
write /@/etc/motd "the root\n"
write /@home/notes "at home\n"
setxattr user.color blue 4 /@home/notes
setxattr user.volume yes 3 /@home
mkdir /@/home
mkdir /@/marked
chmod 0700 /@home
fill-pattern abc 100000 /@/compressed
btrfs-subvolume-snapshot /@home /@home.old ro:true
write /@home/later "after the snapshot\n"
write /top "beside them\n"
END
guestfish --format=raw -a disk -f commands
zstd -19 -q -f disk -o "$here/btrfs.raw.zst"
