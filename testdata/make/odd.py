#!/usr/bin/env python3
"""Makes, from the fixtures of notes.sh, the shapes that no tool of Debian 12 writes:

    notes-docker20.docker.tar   what `docker save` 1.10 to 24 wrote: <id>/layer.tar, a repeated layer as a symlink
    notes-docker28.docker.tar   what `docker save` 25 to 28 writes: an OCI layout and a manifest.json in one tar
    artifacts.oci/              things that are not plain images: see `artifacts` below for its refs

Written after the sources of moby (image/tarexport/save.go, before and after v25) and the image spec.
"""

import gzip
import hashlib
import io
import json
import pathlib
import shutil
import tarfile

TESTDATA = pathlib.Path(__file__).resolve().parent.parent
OCI = "application/vnd.oci.image."
MANIFEST, INDEX, CONFIG = OCI + "manifest.v1+json", OCI + "index.v1+json", OCI + "config.v1+json"
LAYER, LAYER_GZIP = OCI + "layer.v1.tar", OCI + "layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
CREATED = "2026-02-01T00:00:00Z"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def write_tar(name, members):
    """members: path -> bytes, or a str for a symlink's target; order and times are fixed."""
    with tarfile.open(TESTDATA / name, "w", format=tarfile.USTAR_FORMAT) as tar:
        folders = set()
        for path, content in members.items():
            for parent in reversed(pathlib.PurePosixPath(path).parents[:-1]):
                if parent not in folders:
                    folders.add(parent)
                    info = tarfile.TarInfo(f"{parent}/")
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
            info = tarfile.TarInfo(path)
            info.mtime, info.mode = 0, 0o644
            if isinstance(content, str):
                info.type, info.mode, info.linkname, content = tarfile.SYMTYPE, 0o777, content, b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def notes_layers():
    """The two layers of notes.dir, uncompressed, first the base."""
    manifest = json.loads((TESTDATA / "notes.dir/manifest.json").read_text())
    return [
        gzip.decompress((TESTDATA / "notes.dir" / layer["digest"][7:]).read_bytes())
        for layer in manifest["layers"]
    ]


def image_config(layers, **config):
    return {
        "architecture": "amd64",
        "config": config,
        "created": CREATED,
        "history": [{"created": CREATED, "created_by": f"layer {n}"} for n in range(1, len(layers) + 1)],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer) for layer in layers]},
    }


def docker20():
    """Two images, three tags; the second has its first layer once more on top."""
    base, edition = notes_layers()
    members, manifest, repositories, first_place = {}, [], {}, {}
    for tags, layers, env in (
        (["notes:1", "notes:latest"], [base, edition], ["EDITION=1"]),
        (["team/notes:twice"], [base, edition, base], ["EDITION=1", "TWICE=yes"]),
    ):
        config = compact(image_config(layers, Env=env))
        parent, paths = None, []
        for n, layer in enumerate(layers):
            # A v1 id hashes the whole chain below, so the same layer has another id on top.
            legacy = {"created": CREATED, "os": "linux", "container_config": {"Cmd": None}}
            if parent:
                legacy["parent"] = parent
            if n == len(layers) - 1:
                legacy["config"] = {"Env": env}
            legacy["id"] = v1_id = sha256(compact([legacy, sha256(layer)]))
            path = f"{v1_id}/layer.tar"
            members[f"{v1_id}/VERSION"] = b"1.0"
            members[f"{v1_id}/json"] = compact(legacy)
            if path not in members:
                members[path] = "../" + first_place[layer] if layer in first_place else layer
            first_place.setdefault(layer, path)
            paths.append(path)
            parent = v1_id
        members[sha256(config) + ".json"] = config
        manifest.append({"Config": sha256(config) + ".json", "RepoTags": tags, "Layers": paths})
        for tag in tags:
            name, _, version = tag.partition(":")
            repositories.setdefault(name, {})[version] = parent
    members["manifest.json"] = compact(manifest)
    members["repositories"] = compact(repositories) + b"\n"
    write_tar("notes-docker20.docker.tar", members)


def docker28():
    layers = notes_layers()
    config = compact(image_config(layers, Env=["EDITION=1"], Cmd=["/notes/read"]))
    descriptors = [
        {"mediaType": LAYER, "size": len(layer), "digest": "sha256:" + sha256(layer)} for layer in layers
    ]
    manifest = compact({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": "sha256:" + sha256(config), "size": len(config)},
        "layers": descriptors,
    })
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": "sha256:" + sha256(manifest),
            "size": len(manifest),
            "annotations": {
                "io.containerd.image.name": "docker.io/library/notes:1",
                "org.opencontainers.image.ref.name": "1",
            },
        }],
    }
    docker = [{
        "Config": "blobs/sha256/" + sha256(config),
        "RepoTags": ["notes:1"],
        "Layers": ["blobs/sha256/" + sha256(layer) for layer in layers],
        "LayerSources": {descriptor["digest"]: descriptor for descriptor in descriptors},
    }]
    members = {f"blobs/sha256/{sha256(blob)}": blob for blob in sorted([config, manifest, *layers], key=sha256)}
    members["index.json"] = compact(index)
    members["manifest.json"] = compact(docker)
    members["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    members["repositories"] = compact({"notes": {"1": sha256(layers[-1])}}) + b"\n"
    write_tar("notes-docker28.docker.tar", members)


class Layout:
    """An OCI layout directory being filled."""

    def __init__(self, path):
        self.path = path
        self.refs = []
        shutil.rmtree(path, ignore_errors=True)
        (path / "blobs/sha256").mkdir(parents=True)

    def blob(self, media_type, data, algorithm="sha256", **more):
        digest = hashlib.new(algorithm, data).hexdigest()
        (self.path / "blobs" / algorithm).mkdir(exist_ok=True)
        (self.path / "blobs" / algorithm / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"{algorithm}:{digest}", "size": len(data), **more}

    def json(self, media_type, value, **more):
        """Indented on purpose: who re-serialises it changes its digest."""
        return self.blob(media_type, json.dumps(value, indent=3).encode() + b"\n", **more)

    def tag(self, name, descriptor):
        self.refs.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}})

    def finish(self):
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.refs}
        (self.path / "index.json").write_text(json.dumps(index, indent=2))


def artifacts():
    """Refs: image, sbom, chart, data, nolayers, foreign, sha512, empty-index, platforms, nested."""
    layout = Layout(TESTDATA / "artifacts.oci")
    empty_config = layout.blob(EMPTY, b"{}")
    layers = notes_layers()

    def manifest(config, layers, **more):
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}

    def image(arch, layers=layers, **more):
        blobs = [layout.blob(LAYER_GZIP, gzip.compress(layer, 9, mtime=0)) for layer in layers]
        config = {**image_config(layers, Env=[f"ARCH={arch}"]), "architecture": arch}
        return layout.json(MANIFEST, manifest(layout.json(CONFIG, config), blobs, **more))

    # An ordinary image, with a field that no specification knows.
    plain = image("amd64", **{"com.example.unknown": {"kept": [1, 2.50, "ü"]}})
    layout.tag("image", plain)

    # An SBOM that refers to it: artifactType, empty config, unknown media type, annotations.
    sbom = layout.json(MANIFEST, manifest(
        empty_config,
        [layout.blob("application/spdx+json", b'{"spdxVersion":"SPDX-2.3","name":"notes"}\n',
                     annotations={"org.opencontainers.image.title": "notes.spdx.json"})],
        artifactType="application/spdx+json",
        subject=plain,
        annotations={"org.opencontainers.image.created": CREATED},
    ))
    layout.tag("sbom", sbom)

    # A Helm chart: its layer is a tar, but no image's layer, and it has no artifactType.
    chart = io.BytesIO()
    with tarfile.open(fileobj=chart, mode="w") as tar:
        info = tarfile.TarInfo("notes/Chart.yaml")
        text = b"apiVersion: v2\nname: notes\nversion: 0.1.0\n"
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    layout.tag("chart", layout.json(MANIFEST, manifest(
        layout.json("application/vnd.cncf.helm.config.v1+json", {"name": "notes", "version": "0.1.0", "apiVersion": "v2"}),
        [layout.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", gzip.compress(chart.getvalue(), mtime=0))],
    )))

    # Embedded `data`; a subject that is not here, which is allowed.
    layout.tag("data", layout.json(MANIFEST, manifest(
        {**empty_config, "data": "e30="}, [{**empty_config, "data": "e30="}],
        artifactType="application/vnd.example.signature",
        subject={"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 7},
    )))

    # An image without a layer.
    layout.tag("nolayers", image("amd64", layers=[]))

    # A foreign layer: named with urls, not distributed, so its blob is not here.
    foreign = b"not here"
    config = image_config([foreign, layers[1]])
    config["os"] = "windows"
    layout.tag("foreign", layout.json(MANIFEST, manifest(layout.json(CONFIG, config), [
        {"mediaType": OCI + "layer.nondistributable.v1.tar+gzip", "digest": "sha256:" + sha256(foreign),
         "size": len(foreign), "urls": ["https://example.com/base.tar.gz"]},
        layout.blob(LAYER_GZIP, gzip.compress(layers[1], 9, mtime=0)),
    ])))

    # sha512 digests for a layer and for the manifest.
    layer = layout.blob(LAYER, layers[1], algorithm="sha512")
    layout.tag("sha512", layout.json(
        MANIFEST, manifest(layout.json(CONFIG, image_config([layers[1]])), [layer]), algorithm="sha512"))

    def index(manifests, **more):
        return layout.json(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, **more})

    layout.tag("empty-index", index([]))

    # Two platforms, a variant, and an attestation as BuildKit files it.
    arm = image("arm64")
    attestation = layout.json(MANIFEST, manifest(
        layout.json(CONFIG, {**image_config([]), "architecture": "unknown", "os": "unknown"}),
        [layout.blob("application/vnd.in-toto+json", b'{"_type":"https://in-toto.io/Statement/v0.1"}',
                     annotations={"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"})],
    ))
    platforms = index([
        {**plain, "platform": {"architecture": "amd64", "os": "linux"}},
        {**arm, "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}},
        {**attestation, "platform": {"architecture": "unknown", "os": "unknown"},
         "annotations": {"vnd.docker.reference.digest": plain["digest"], "vnd.docker.reference.type": "attestation-manifest"}},
    ], annotations={"org.opencontainers.image.created": CREATED})
    layout.tag("platforms", platforms)

    # An index that holds an index, an image and an artifact.
    layout.tag("nested", index([platforms, {**plain, "platform": {"architecture": "amd64", "os": "linux"}},
                                {**sbom, "artifactType": "application/spdx+json"}],
                               artifactType="application/vnd.example.bundle"))
    layout.finish()


if __name__ == "__main__":
    docker20()
    docker28()
    artifacts()
