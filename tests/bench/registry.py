#!/usr/bin/env python3
"""Compares pull and push with skopeo and podman against Debian's docker-registry on loopback.

    IMGIT=target/release/imgit tests/bench/registry.py [--rounds N] [--out REGISTRY.md]

The images are those of corpus.sh. Peers are interleaved as in run.py, whose clock this uses. skopeo
copies blobs into a layout and reads no file of them; podman unpacks them (vfs storage: a container-like
machine has no overlay to offer). imgit takes them apart into its store.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import time

from run import APP, BENCH, HERE, output, run

DEEDS = {
    "pull": "pull of app:1, nothing here yet",
    "again": "the same pull again",
    "next": "pull of app:2 (new base, four layers changed)",
    "push": "push of app:1 to an empty registry",
}
TARGETS = [("pull", "podman", 1.0), ("next", "podman", 3.0), ("next", "skopeo", 3.0)]


@contextlib.contextmanager
def registry(folder):
    """A server of its own in `folder`; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/root}}}}\nhttp: {{addr: '{address}', secret: x}}\n"
    )
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(address.rsplit(":", 1), 1).close()
                break
            time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()


class Peer:
    def __init__(self, place, address):
        self.place, self.address = place, address
        place.mkdir(parents=True)


class Imgit(Peer):
    name = "imgit"

    def imgit(self, *words):
        return run(os.environ.get("IMGIT", "target/release/imgit"), "-q", *words, env={"IMGIT_STORE": str(self.place / "store")})

    def pull(self):
        return self.imgit("pull", f"{self.address}/app:1", "app:latest")

    again = pull

    def next(self):
        return self.imgit("pull", f"{self.address}/app:2", "app:latest")

    def push(self, to):
        return self.imgit("push", "app:latest~1", f"{to}/app:1")


class Skopeo(Peer):
    name = "skopeo"

    def copy(self, tag):
        return run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{self.address}/app:{tag}",
                   f"oci:{self.place}/layout:{tag}")

    def pull(self):
        return self.copy(1)

    again = pull

    def next(self):
        return self.copy(2)

    def push(self, to):
        return run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{self.place}/layout:1", f"docker://{to}/app:1")


class Podman(Peer):
    name = "podman"

    def podman(self, *words):
        return run("podman", "--storage-driver", "vfs", "--cgroup-manager=cgroupfs", "--root", self.place / "root",
                   "--runroot", self.place / "run", *words)

    def pull(self):
        return self.podman("pull", "-q", "--tls-verify=false", f"{self.address}/app:1")

    again = pull

    def next(self):
        return self.podman("pull", "-q", "--tls-verify=false", f"{self.address}/app:2")

    def push(self, to):
        return self.podman("push", "-q", "--tls-verify=false", f"{self.address}/app:1", f"docker://{to}/app:1")


def one_round(folder, number, address, samples):
    peers = [Imgit, Skopeo, Podman]
    peers = peers[number % 3:] + peers[:number % 3]
    here = [peer(folder / f"{number}-{peer.name}", address) for peer in peers]
    for deed in DEEDS:
        for peer in here:
            if deed == "push":
                with registry(folder / f"{number}-{peer.name}-there") as to:
                    sample = peer.push(to)
            else:
                sample = getattr(peer, deed)()
            samples.setdefault((deed, peer.name), []).append(sample)
            print(f"  {deed} {peer.name} {sample.wall:.2f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "REGISTRY.md")
    args = parser.parse_args()
    folder = BENCH / "registry"
    shutil.rmtree(folder, ignore_errors=True)
    (BENCH / "state").mkdir(exist_ok=True)
    samples = {}
    with registry(folder / "server") as address:
        for tag in (1, 2):
            run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{APP}:{tag}", f"docker://{address}/app:{tag}")
        for number in range(args.rounds):
            print(f"Round {number + 1} of {args.rounds}.", flush=True)
            one_round(folder, number, address, samples)
    args.out.write_text(table(samples, args.rounds))
    print(f"Wrote {args.out}.")
    shutil.rmtree(folder, ignore_errors=True)


def seconds(value):
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def table(samples, rounds):
    wall = {key: statistics.median(sample.wall for sample in all_) for key, all_ in samples.items()}
    lines = [
        "# Registries", "",
        f"Medians of {rounds} rounds, peers interleaved, {os.cpu_count()} cores, {datetime.date.today()}, by "
        "`make bench-registry`: Debian's docker-registry on loopback, the images of `make bench`. In brackets: how "
        "many times imgit's time a peer took.", "",
        "| | imgit | skopeo | podman |", "|---|---:|---:|---:|",
    ]
    for deed, title in DEEDS.items():
        ours = wall[deed, "imgit"]
        others = [f"{seconds(wall[deed, peer])} ({wall[deed, peer] / ours:.1f}×)" for peer in ("skopeo", "podman")]
        lines.append(f"| {title} | {seconds(ours)} | {' | '.join(others)} |")
    rss = {peer: max(sample.rss for (_, name), all_ in samples.items() if name == peer for sample in all_)
           for peer in ("imgit", "skopeo", "podman")}
    lines.append(f"| largest process | {' | '.join(f'{rss[peer] >> 20} MB' for peer in rss)} |")
    lines += ["", f"- {output('skopeo', '--version').strip()}, into an OCI layout: blobs, no files",
              f"- {output('podman', '--version').strip()}, storage driver vfs", "",
              "| target | bound | measured | met |", "|---|---|---:|---|"]
    for deed, peer, bound in TARGETS:
        ratio = wall[deed, peer] / wall[deed, "imgit"]
        met = "yes" if ratio >= bound else "**no**"
        lines.append(f"| {DEEDS[deed]}: against {peer} | ≥ {bound:g} × as fast | {ratio:.1f} × | {met} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
