#!/bin/bash
# Makes real machines of Debian packages, once, in ${IMGIT_MACHINES_DIR:-/var/tmp/imgit-machines}:
#
#   gpt-1.raw   GPT, an ESP, an ext4 root: a Debian that could boot, about 450 MB of files
#   gpt-2.raw   the same disk after it has lived: packages added and removed, files edited, so that deleted
#               files and a used journal are left in it
#   lvm.raw     MBR, a /boot, LVM with an xfs root and swap: the first tree again
#   btrfs.raw   a whole-disk btrfs, compressed, with the subvolumes @ and @home: the first tree again
#   root-1.tar  the first tree as a tar
#   box.oci     ref 1: a container of the packages of the first tree, one layer
#
# In the trees stand hard links, a sparse file, ACLs, attributes, capabilities, devices, a fifo, a socket,
# names that are not UTF-8, times in 1965 and 2045. Packages come from $DEBIAN_MIRROR, else from the mirror
# that apt is set up with, else from Debian's own. Needs root, but no mount and no loop device: what only a
# kernel can make is made in the appliance of libguestfs. Ten minutes and 6 GB, most of it for a while.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022
machines=${IMGIT_MACHINES_DIR:-/var/tmp/imgit-machines}
[ -e "$machines/box.oci" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "machines.sh needs root, for owners and device nodes" >&2; exit 1; }
mkdir -p "$machines"
machines=$(cd "$machines" && pwd)
work=$machines/work
rm -rf "$work"
mkdir "$work"
cd "$work"
export LIBGUESTFS_BACKEND="${LIBGUESTFS_BACKEND:-direct}"
export LIBGUESTFS_BACKEND_SETTINGS="${LIBGUESTFS_BACKEND_SETTINGS:-force_tcg}"

release=bookworm
common=systemd-sysv,linux-image-cloud-amd64,iputils-ping,openssh-server,nginx-light,python3,ca-certificates,locales
# shellcheck disable=SC2016
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk -v release="$release" '$2 == release { print $1; exit }')}

# tree NUMBER PACKAGES: what mmdebstrap makes of them.
tree() {
    echo "Making tree $1."
    mmdebstrap --quiet --variant=minbase --include="$common,$2" "$release" "$work/tree-$1.tar" ${mirror:+"$mirror"}
    mkdir "$work/tree-$1"
    tar -C "$work/tree-$1" --xattrs --xattrs-include='*' --numeric-owner -xf "$work/tree-$1.tar"
}

# As a machine has them and a container has not: plant FOLDER.
plant() {
    cd "$1"
    printf 'LABEL=root / auto defaults 0 1\nLABEL=ESP /boot/efi vfat umask=0077 0 2\nLABEL=home /home auto defaults 0 2\n' >etc/fstab
    echo golden >etc/hostname
    echo 0123456789abcdef0123456789abcdef >etc/machine-id
    mkdir -p boot/efi home/ada srv/odd
    cd srv/odd
    seq 1 100000 >plain
    ln plain hard-1
    ln plain ../hard-2
    truncate -s 64M sparse
    printf 'in the middle' | dd of=sparse bs=1 seek=30M conv=notrunc status=none
    echo shared >acl && setfacl -m u:1234:rw,g:77:r acl
    mkdir folder && setfacl -d -m u:1234:rwx folder
    echo coloured >xattr && setfattr -n user.colour -v blue xattr
    setfattr -n trusted.origin -v 'machines.sh' xattr
    cp ../../bin/true capable && setcap cap_net_bind_service+ep capable
    mknod char c 5 300 && mknod block b 259 70000 && mkfifo fifo
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    echo latin >"$(printf 'caf\351')" && echo newline >"$(printf 'new\nline')"
    echo old >born-1965 && touch -d '1965-03-04 05:06:07' born-1965
    echo far >born-2045 && touch -d '2045-06-07 08:09:10' born-2045
    cd "$work"
}

tree 1 vim-tiny,less,gcc
tree 2 git,python3-requests,gcc
plant tree-1
plant tree-2
# An administrator's day.
echo 'Welcome to the second version' >tree-2/etc/motd
sed -i 's/^#\?PermitRootLogin.*/PermitRootLogin no/' tree-2/etc/ssh/sshd_config
printf 'and grown' | dd of=tree-2/srv/odd/sparse bs=1 seek=40M conv=notrunc status=none
rm tree-2/srv/odd/capable tree-2/srv/hard-2
mv tree-2/srv/odd/xattr tree-2/srv/odd/renamed
mkdir -p tree-2/var/lib/app && seq 1 2000000 >tree-2/var/lib/app/data

pack() { tar --format=posix --sparse --xattrs --xattrs-include='*' --acls --numeric-owner --sort=name "$@"; }
pack -C tree-1 -cf root-1.tar .

echo "Making the ext4 disk."
truncate -s 3G gpt-1.raw
printf 'label: gpt\nsize=64M,type=uefi\ntype=linux\n' | sfdisk -q gpt-1.raw
start=$(sfdisk -J gpt-1.raw | jq '.partitiontable.partitions[1].start * 512')
size=$(sfdisk -J gpt-1.raw | jq '.partitiontable.partitions[1].size / 2')
seq 1 1500000 >tree-1/srv/gone
mke2fs -q -t ext4 -L root -d tree-1 -E "offset=$start" gpt-1.raw "${size}k"
# mke2fs takes over no time beyond 2038. A file that was deleted leaves its bytes.
debugfs -w -f - "gpt-1.raw?offset=$start" >/dev/null 2>&1 <<EOF
sif /srv/odd/born-2045 mtime 0x$(printf %x $(($(date -d '2045-06-07 08:09:10' +%s) & 0xffffffff)))
sif /srv/odd/born-2045 mtime_extra 1
rm /srv/gone
EOF
rm tree-1/srv/gone
truncate -s 64M esp
mkfs.vfat -n ESP esp >/dev/null
mmd -i esp ::/EFI ::/EFI/debian
mcopy -i esp tree-1/boot/vmlinuz-* ::/EFI/debian/
dd if=esp of=gpt-1.raw bs=1M seek=1 conv=notrunc status=none

echo "Bringing it to the second version."
cp --sparse=always gpt-1.raw gpt-2.raw
(cd tree-1 && find . -mindepth 1 -print0) | sort -z >paths-1
(cd tree-2 && find . -mindepth 1 -print0) | sort -z >paths-2
comm -z -23 paths-1 paths-2 | sort -zr >gone
# Sockets are in no tar, and stand already.
(cd tree-2 && find . -mindepth 1 -not -type s -print0 | while IFS= read -r -d '' path; do
    other=../tree-1/$path
    if [ -f "$path" ] && [ ! -L "$path" ] && [ -f "$other" ] && [ ! -L "$other" ] && cmp -s "$path" "$other"; then
        [ "$(stat -c '%a %u %g %Y' "$path")" = "$(stat -c '%a %u %g %Y' "$other")" ] && continue
    fi
    printf '%s\0' "$path"
done) >changed
pack -C tree-2 --no-recursion --null -T changed -cf changed.tar
timeout 1000 guestfish <<EOF
add gpt-2.raw format:raw
run
mount /dev/sda2 /
upload gone /.gone
debug sh "cd /sysroot && xargs -0 rm -rf -- < .gone && rm .gone"
tar-in changed.tar / xattrs:true acls:true
umount /
EOF

# What no tar holds.
socket='mknod 0140755 0 0 /srv/odd/socket'
echo "Making the disk with LVM and xfs."
truncate -s 3G lvm.raw
timeout 1000 guestfish <<EOF
add lvm.raw format:raw
run
part-init /dev/sda mbr
part-add /dev/sda primary 2048 411647
part-add /dev/sda primary 411648 -2048
part-set-mbr-id /dev/sda 2 0x8e
mkfs ext4 /dev/sda1 label:boot
pvcreate /dev/sda2
vgcreate golden_vg /dev/sda2
lvcreate swap golden_vg 128
lvcreate root golden_vg 2400
mkswap /dev/golden_vg/swap label:swap
mkfs xfs /dev/golden_vg/root label:root
mount /dev/golden_vg/root /
tar-in root-1.tar / xattrs:true acls:true
$socket
fill-pattern gone 50000000 /srv/gone
sync
rm /srv/gone
umount /
EOF

echo "Making the btrfs disk."
truncate -s 3G btrfs.raw
mkfs.btrfs -q -L root btrfs.raw
timeout 1000 guestfish <<EOF
add btrfs.raw format:raw
run
mount-options compress=zstd /dev/sda /
btrfs-subvolume-create /@
btrfs-subvolume-create /@home
umount /
mount-options compress=zstd,subvol=@ /dev/sda /
tar-in root-1.tar / xattrs:true acls:true
$socket
write /etc/fstab "LABEL=root / btrfs subvol=@ 0 0\nLABEL=root /home btrfs subvol=@home 0 0\n"
umount /
mount-options compress=zstd,subvol=@home /dev/sda /
mkdir /ada
write /ada/notes "at home\n"
umount /
EOF

echo "Making the container."
umoci init --layout box.oci
umoci new --image box.oci:1
umoci raw add-layer --image box.oci:1 tree-1.tar
umoci config --image box.oci:1 --config.cmd /bin/sh

mv gpt-1.raw gpt-2.raw lvm.raw btrfs.raw root-1.tar "$machines/"
# What says that all is there.
mv box.oci "$machines/"
cd "$machines"
rm -rf "$work"
