#!/bin/bash
# Makes the corpus of `make bench`, once, in ${IMGIT_BENCH_DIR:-/var/tmp/imgit-bench}:
#
#   app.oci     refs 1 and 2: a Debian in five gzip layers (base, python3, nginx, compilers, application),
#               about 500 MB of tar; 2 is 1 on a new base with the four layers above it changed
#   files.oci   refs 1 and 2: 20,000 files in one layer, 200 changes between them
#   trees/      app-1 app-2 files-1 files-2 unpacked, less device nodes (ostree refuses them)
#
# Packages come from the mirrors that apt is set up with. Root. About ten minutes and 4 GB.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022
here=$(cd "$(dirname "$0")" && pwd)
bench=${IMGIT_BENCH_DIR:-/var/tmp/imgit-bench}
[ "$(id -u)" = 0 ] || { echo "corpus.sh needs root, for owners, mounts and chroot" >&2; exit 1; }
mkdir -p "$bench/trees" "$bench/work"
work=$bench/work

# The address of the mirror that apt uses for a suite: mirror RELEASE.
# shellcheck disable=SC2016
mirror() { apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v s="$1" '$2 == s { print $1; exit }'; }

# Runs apt-get in the root file system that is being made, seeing no more of this machine than it must.
in_root() {
    unshare --mount --fork -- bash -eu -c '
        root=$1; shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
        DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
    ' in_root "$root" "$@" >>"$work/log" 2>&1 || { tail -n 30 "$work/log"; exit 1; }
}

install_packages() {
    in_root apt-get -q update
    in_root apt-get -q -y --no-install-recommends install "$@"
    in_root apt-get clean
    rm -rf "$root"/var/lib/apt/lists/*
}

close_layer() { umoci repack --refresh-bundle --image "$work/app.oci:$1" --history.created_by "$2" "$work/bundle"; }

# app VERSION PYTHON-PACKAGES NGINX-PACKAGES COMPILER-PACKAGES, over the base tar of that version.
app() {
    local version=$1
    echo "Making app:$version."
    umoci new --image "$work/app.oci:$version"
    rm -rf "$work/bundle"
    umoci unpack --image "$work/app.oci:$version" "$work/bundle"
    root=$work/bundle/rootfs
    tar -C "$root" --xattrs --xattrs-include='*' --numeric-owner -xf "$work/base-$version.tar"
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"    # no service is to start here
    chmod +x "$root/usr/sbin/policy-rc.d"
    touch "$root/etc/resolv.conf"
    close_layer "$version" base
    # shellcheck disable=SC2086
    { install_packages $2; close_layer "$version" python3
      install_packages $3; close_layer "$version" nginx
      install_packages $4; close_layer "$version" compilers; }
    "$here/files.py" "$root/opt/app" 4000 400 "$version"
    close_layer "$version" application
    umoci config --image "$work/app.oci:$version" --config.env "APP_VERSION=$version" --config.cmd /usr/sbin/nginx
}

# unpack LAYOUT REF TREE: what peers that read directories are given.
unpack() {
    rm -rf "$work/unpacked" "$bench/trees/$3"
    umoci unpack --image "$bench/$1:$2" "$work/unpacked"
    find "$work/unpacked/rootfs" \( -type b -o -type c -o -type p \) -delete
    mv "$work/unpacked/rootfs" "$bench/trees/$3"
}

if [ ! -e "$bench/app.oci" ]; then
    main=$(mirror bookworm) updates=$(mirror bookworm-updates) security=$(mirror bookworm-security)
    : "${main:?apt knows no mirror of Debian bookworm}"
    echo "Making two bases with mmdebstrap."
    # Version 1 is the point release as it came out, version 2 has its updates: packages differ as they do in life.
    # Its later layers draw updates too, since sources.list is part of the base.
    mmdebstrap --quiet --variant=minbase bookworm "$work/base-1.tar" "deb $main bookworm main"
    printf '%s\n' "deb $main bookworm main" ${updates:+"deb $updates bookworm-updates main"} \
        ${security:+"deb $security bookworm-security main"} |
        mmdebstrap --quiet --variant=minbase --include=ca-certificates,less,procps bookworm "$work/base-2.tar" -
    rm -rf "$work/app.oci"
    umoci init --layout "$work/app.oci"
    app 1 "python3 python3-numpy" "nginx" "gcc libc6-dev make git"
    app 2 "python3 python3-numpy python3-requests" "nginx libnginx-mod-stream" "gcc libc6-dev make git patch"
    umoci gc --layout "$work/app.oci"
    mv "$work/app.oci" "$bench/app.oci"
fi

if [ ! -e "$bench/files.oci" ]; then
    echo "Making 20,000 files, twice."
    rm -rf "$work/files.oci"
    umoci init --layout "$work/files.oci"
    for version in 1 2; do
        rm -rf "$work/files"
        "$here/files.py" "$work/files" 20000 200 "$version"
        tar -C "$work/files" --sort=name --owner=0 --group=0 --numeric-owner -cf "$work/files.tar" .
        umoci new --image "$work/files.oci:$version"
        umoci raw add-layer --image "$work/files.oci:$version" "$work/files.tar"
    done
    umoci gc --layout "$work/files.oci"
    mv "$work/files.oci" "$bench/files.oci"
fi

for image in app files; do
    for version in 1 2; do
        [ -e "$bench/trees/$image-$version" ] || unpack "$image.oci" "$version" "$image-$version"
    done
done
rm -rf "$work"
