#!/bin/sh
# Makes testdata/dirty/*.img.zst: ext file systems that were copied while they were mounted, so that
# their last changes are in the journal alone. Beside each, NAME.listing: what the kernel shows once it
# has replayed the journal. Root, and a kernel with loop devices; the images differ each time.
set -eu
cd "$(dirname "$0")/../.."
folder=testdata/dirty
mkdir -p "$folder"
work=$(mktemp -d)
trap 'umount "$work/at" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/at"

# NAME MOUNT-OPTIONS MKE2FS-OPTIONS...
dirty() {
    name=$1 mounted=$2
    shift 2
    image=$work/$name.img at=$work/at
    truncate -s 8M "$image"
    mke2fs -q -F "$@" "$image"
    mount -o "loop,$mounted" "$image" "$at"
    # A sync of a directory that was changed commits the journal and, unlike one of all, writes
    # nothing in its place.
    commit() { touch "$at/kept" && sync "$at/kept"; }
    mkdir "$at/kept" "$at/gone"
    for number in $(seq 1 60); do echo "$number" >"$at/kept/file-$number"; done
    for number in $(seq 1 60); do : >"$at/gone/a-name-that-is-longer-$number"; done
    commit
    # The folder's blocks are revoked in the journal, and those of the files below may use them again.
    rm -r "$at/gone"
    commit
    # With data=journal this block is in the journal too, where its first bytes must not be what they
    # are: the mark of the journal's own blocks.
    printf '\300\073\071\230 is how a block of the journal begins\n' >"$at/escaped"
    seq 1 9000 >"$at/data"
    commit
    for number in $(seq 1 2 60); do rm "$at/kept/file-$number"; done
    ln "$at/data" "$at/kept/data"
    setfattr -n user.name -v value "$at/data"
    ln -s target "$at/link"
    echo changed >"$at/kept/file-2"
    find "$at" -exec touch -h -d @1600000000.123456789 {} +
    commit
    echo "not committed" >"$at/late"
    cp "$image" "$image.dirty"
    umount "$at"

    zstd -q -19 -f "$image.dirty" -o "$folder/$name.img.zst"
    # A mount of the copy replays its journal.
    mount -o loop,noatime "$image.dirty" "$at"
    tests/support/listing.py "$at" >"$folder/$name.listing"
    umount "$at"
}

dirty ext4 user_xattr -t ext4 -b 4096 -O metadata_csum,64bit
dirty ext4-data data=journal,user_xattr -t ext4 -b 1024 -O metadata_csum,64bit
dirty ext3 data=journal,user_xattr -t ext3 -b 1024
ls -l "$folder"
