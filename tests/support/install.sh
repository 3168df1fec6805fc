#!/bin/sh
# Installs, by apt and quietly, the tools that imgit is tested against.
#
#   tests/support/install.sh [build|test|testdata|bench|fuzz]...     default: test
#
# Asks dpkg first and does nothing, in milliseconds, when all is there. Made for Debian 12; elsewhere
# it says what is missing and leaves the installing to you. Needs root (or sudo) only to install.
set -eu

# A C compiler and linker for the crates that bring C (zstd, zlib-ng); a fresh Rust machine may have none.
build="gcc libc6-dev make cmake pkg-config"
# The appliance that reads VM disks: a kernel of its own and qemu.
appliance="libguestfs0 libguestfs-xfs qemu-system-x86 qemu-utils linux-image-amd64"
# The engines whose reading of an image is the truth, and the tools that make odd files.
test="$build $appliance skopeo umoci buildah podman runc attr acl libcap2-bin python3 tar gzip xz-utils zstd jq"
# What makes disk images, partition tables and file systems, and says what is in them.
test="$test fdisk gdisk e2fsprogs dosfstools mtools xfsprogs btrfs-progs ntfs-3g exfatprogs"
test="$test squashfs-tools genisoimage cryptsetup-bin util-linux"
# Debian's registry, and what makes its passwords and certificates.
test="$test docker-registry apache2-utils openssl"
# What compresses layers in the wild; of java, jib's, only what is there is tested.
test="$test pigz golang-go"
# What made the fixtures in testdata/, and makes the machines of `make slow`.
testdata="$test libguestfs-tools mmdebstrap"
# Peers of `make bench`, and what composefs needs to be built. umoci and skopeo are above.
bench="$test mmdebstrap restic ostree libssl-dev libzstd-dev libguestfs-tools"
# libFuzzer comes with the crate libfuzzer-sys, as C++ source.
fuzz="$build g++"

wanted=
for list in "${@:-test}"; do
    case $list in
        build) wanted="$wanted $build" ;;
        test) wanted="$wanted $test" ;;
        testdata) wanted="$wanted $testdata" ;;
        bench) wanted="$wanted $bench" ;;
        fuzz) wanted="$wanted $fuzz" ;;
        *) echo "install.sh: no list named $list (build, test, testdata, bench, fuzz)" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    for tool in cc docker-registry htpasswd openssl skopeo umoci buildah podman setfattr setfacl setcap python3 zstd qemu-img mke2fs mkfs.xfs mcopy; do
        command -v "$tool" >/dev/null || echo "install.sh: not Debian, and $tool is missing" >&2
    done
    exit 0
fi

# One call of dpkg-query for all: it prints nothing for a package it has never heard of.
# shellcheck disable=SC2086
present=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $wanted 2>/dev/null | sed -n 's/^ii *//p')
missing=
for package in $wanted; do
    case "
$present
" in
        *"
$package
"*) ;;
        *) case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac ;;
    esac
done
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "Installing$missing." >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Some other apt may be at work (unattended-upgrades on a fresh machine): wait for its lock.
apt() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q -y "$@" >>"$log" 2>&1; }
# A source list of something else that cannot be reached must not stop us: install decides.
apt update || true
# shellcheck disable=SC2086
apt install --no-install-recommends $missing && exit 0
# A newer qemu-utils from elsewhere does not go with this release's qemu: take this release's.
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2086
apt install --no-install-recommends --allow-downgrades $missing "qemu-utils/$release" || { cat "$log" >&2; exit 1; }
