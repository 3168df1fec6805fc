#!/bin/bash
# Makes the small image "notes" (licence texts from Debian's base-files) in every other shape that an
# image comes in, each by the tool that makes it in life:
#
#   notes.dir/                 skopeo's dir: (Docker schema 2 manifest)
#   notes-zstd.oci/            OCI layout, zstd layers, by skopeo
#   notes-chunked.oci/         OCI layout, zstd:chunked layers, by skopeo
#   notes-multi.oci.tar        oci-archive, index of linux/amd64 and linux/arm64, by buildah manifest
#   notes-pair.docker.tar      docker-archive of two images with three tags, by podman save -m
#   notes-buildah.oci.tar      oci-archive of one image, by buildah commit
. "$(dirname "$0")/common.sh"
# Buildah and podman stamp this date instead of the clock where they can.
export SOURCE_DATE_EPOCH=1769904000

# Two layers of text for ARCH, committed as NAME: the second layer removes one file of the first.
commit_notes() {
    local name=$1 arch=$2 edition=$3 container mount
    container=$(buildah from --arch "$arch" scratch)
    mount=$(buildah mount "$container")
    mkdir -p "$mount/notes"
    cp /usr/share/common-licenses/{Apache-2.0,BSD,CC0-1.0,GPL-2,MPL-2.0} "$mount/notes/"
    settle "$mount" @$SOURCE_DATE_EPOCH
    buildah umount "$container" >/dev/null
    buildah config --arch "$arch" --created-by "licence texts" "$container"
    buildah commit -q --timestamp "$SOURCE_DATE_EPOCH" "$container" "$name-base" >/dev/null
    buildah rm "$container" >/dev/null

    container=$(buildah from --arch "$arch" "localhost/$name-base")
    mount=$(buildah mount "$container")
    printf 'edition %s for %s\n' "$edition" "$arch" > "$mount/notes/edition"
    rm "$mount/notes/BSD"
    settle "$mount" @$SOURCE_DATE_EPOCH
    buildah umount "$container" >/dev/null
    buildah config --arch "$arch" --env "EDITION=$edition" --cmd /notes/read --label edition="$edition" \
        --created-by "edition $edition" "$container"
    buildah commit -q --timestamp "$SOURCE_DATE_EPOCH" "$container" "$name" >/dev/null
    buildah rm "$container" >/dev/null
}

commit_notes notes-amd64 amd64 1
commit_notes notes-arm64 arm64 1
commit_notes notes-second amd64 2
store="containers-storage:[vfs@$work/storage+$work/run]"

skopeo copy -q "${store}localhost/notes-amd64" "oci:$work/notes.oci:notes"
skopeo copy -q --format v2s2 "oci:$work/notes.oci:notes" "dir:$work/notes.dir"
skopeo copy -q --dest-compress-format zstd "dir:$work/notes.dir" "oci:$work/zstd.oci:notes"
skopeo copy -q --dest-compress-format zstd:chunked "dir:$work/notes.dir" "oci:$work/chunked.oci:notes"
skopeo copy -q "oci:$work/notes.oci:notes" "oci-archive:$work/notes-buildah.tar:localhost/notes:1"

buildah manifest create notes >/dev/null
buildah manifest add notes "${store}localhost/notes-amd64" >/dev/null
buildah manifest add notes "${store}localhost/notes-arm64" >/dev/null
buildah manifest push -q --all notes "oci-archive:$work/notes-multi.tar:localhost/notes:1" >/dev/null

podman tag notes-amd64 example.com/team/notes:1 example.com/team/notes:first
podman tag notes-second example.com/team/notes:2
podman save -q -m -o "$work/notes-pair.tar" example.com/team/notes:1 example.com/team/notes:2 example.com/team/notes:first

install_fixture "$work/notes.dir" notes.dir
install_fixture "$work/zstd.oci" notes-zstd.oci
install_fixture "$work/chunked.oci" notes-chunked.oci
install_fixture "$work/notes-multi.tar" notes-multi.oci.tar
install_fixture "$work/notes-buildah.tar" notes-buildah.oci.tar
install_fixture "$work/notes-pair.tar" notes-pair.docker.tar
