#!/usr/bin/env python3
"""Compares imgit with its peers on the corpus of corpus.sh and writes a table.

    IMGIT=target/release/imgit tests/bench/run.py [--rounds N] [--only PEER,...] [--out RESULTS.md]

Each round gives each peer an empty place of its own and goes deed by deed, peer by peer, so that a busy
minute of the machine strikes all of them alike: figures are medians over the rounds, and what counts
are ratios. Peers that read directories (restic, ostree, diff) get trees that were unpacked before, which
spares them the decompression. Before each deed dirty pages are written back, outside the clock; inputs
are read once before each round, so all start from a warm cache. What a round made is left lying until
the end: removing many files slows down who creates files next.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

BENCH = pathlib.Path(os.environ.get("IMGIT_BENCH_DIR", "/var/tmp/imgit-bench")).resolve()
HERE = pathlib.Path(__file__).resolve().parent
MIN_FREE_BYTES = 14 << 30
"""Under this the medium itself becomes the measurement."""

APP, FILES, TREES = BENCH / "app.oci", BENCH / "files.oci", BENCH / "trees"
DEEDS = {
    "first": "first import of app:1",
    "again": "the same import again",
    "next": "import of app:2 (new base, four layers changed)",
    "diff": "diff app:1 app:2",
    "out": "app:2 out again",
    "files_diff": "diff of 20,000 files, 200 changed",
}


class Sample:
    """What one command cost. `rss` is the largest process of it."""

    def __init__(self, wall=0.0, cpu=0.0, rss=0):
        self.wall, self.cpu, self.rss = wall, cpu, rss

    def __add__(self, other):
        return Sample(self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss))


def run(*command, cwd=None, env=None, ok=(0,), keep_output=None):
    """Runs a command under the clock. Its output goes to a file: a pipe would make us part of it."""
    os.sync()
    log_path = keep_output or BENCH / "state/last.log"
    with open(log_path, "wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], cwd=cwd, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if code not in ok:
        tail = pathlib.Path(log_path).read_text(errors="replace")[-2000:]
        raise SystemExit(f"run.py: exit {code} from {' '.join(map(str, command))}\n{tail}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def output(*command, env=None):
    return subprocess.run([str(word) for word in command], env={**os.environ, **(env or {})}, check=True,
                          capture_output=True, text=True).stdout


@contextlib.contextmanager
def at_one_path(tree):
    """The tree TREES/`tree` under a path that all versions share, as a directory that is updated has."""
    put_back()
    (BENCH / "tree.name").write_text(tree)
    (TREES / tree).rename(BENCH / "tree")
    try:
        yield BENCH / "tree"
    finally:
        put_back()


def put_back():
    """Undoes `at_one_path`, also for a run that was killed in it."""
    if (BENCH / "tree").exists():
        (BENCH / "tree").rename(TREES / (BENCH / "tree.name").read_text())


def disk_bytes(folder, only=lambda path: True):
    """What a folder takes on the medium, each hard-linked file once."""
    seen, total = set(), 0
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            st = os.lstat(path)
            if (st.st_dev, st.st_ino) not in seen and only(path):
                seen.add((st.st_dev, st.st_ino))
                total += st.st_blocks * 512
    return total


def layers(layout):
    """digest -> compressed size of every layer that a layout's refs name."""
    def blob(digest):
        return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    index = json.loads((layout / "index.json").read_text())
    return {layer["digest"]: layer["size"] for entry in index["manifests"] for layer in blob(entry["digest"])["layers"]}


class Peer:
    """One round of one program: `place` is its empty folder. Deeds it lacks are not defined."""

    name = ""
    note = ""

    def __init__(self, place):
        self.place = place
        place.mkdir(parents=True)

    @classmethod
    def version(cls):
        """Its version, or None where it is not installed."""
        return (output(cls.name, "--version").splitlines() or [""])[0] if shutil.which(cls.name) else None

    def prepare(self):
        pass

    def sizes(self):
        return {}


class Imgit(Peer):
    name = "imgit"
    binary = os.environ.get("IMGIT", "")

    @classmethod
    def version(cls):
        if not cls.binary or not os.access(cls.binary, os.X_OK):
            return None
        cls.binary = str(pathlib.Path(cls.binary).resolve())
        return output(cls.binary, "--version").strip()

    def imgit(self, *arguments, **more):
        return run(self.binary, *arguments, env={"IMGIT_STORE": str(self.place / "store")}, **more)

    def first(self):
        return self.imgit("import", f"oci:{APP}:1", "app:main")

    def again(self):
        return self.imgit("import", f"oci:{APP}:1", "app:main")

    def next(self):
        return self.imgit("import", f"oci:{APP}:2", "app:main")

    def diff(self):
        return self.imgit("diff", "app:main~1", "app:main", "--name-status")

    def out(self):
        return self.imgit("export", "app:main", f"oci:{self.place / 'out.oci'}:2")

    def files_diff(self):
        """In a store of its own, so that `sizes` is about app alone."""
        env = {"IMGIT_STORE": str(self.place / "files-store")}
        for ref in "12":
            run(self.binary, "import", f"oci:{FILES}:{ref}", "files:main", env=env)
        return run(self.binary, "diff", "files:main~1", "files:main", "--name-status", env=env)

    def sizes(self):
        whole = disk_bytes(self.place / "store")
        kept = self.kept_blob_bytes()
        return {"store": whole, "kept blobs": kept, "contents and manifests": whole - kept}

    def kept_blob_bytes(self):
        """Compressed layers are kept as they came, for now: counted apart."""
        env = {**os.environ, "IMGIT_STORE": str(self.place / "store")}
        said = subprocess.run([self.binary, "du", "--json"], env=env, check=True, capture_output=True, text=True)
        return json.loads(said.stdout.splitlines()[-1])["blob_pack_bytes"]


class Umoci(Peer):
    name = "umoci"
    note = "unpack, a directory for each version"

    def first(self):
        return run("umoci", "unpack", "--image", f"{APP}:1", self.place / "1")

    def next(self):
        return run("umoci", "unpack", "--image", f"{APP}:2", self.place / "2")

    def sizes(self):
        return {"store": disk_bytes(self.place)}


class Skopeo(Peer):
    name = "skopeo"
    note = "copy to oci:, keeps blobs and knows no files"

    def first(self):
        return run("skopeo", "copy", "-q", f"oci:{APP}:1", f"oci:{self.place}/store:1")

    def next(self):
        return run("skopeo", "copy", "-q", f"oci:{APP}:2", f"oci:{self.place}/store:2")

    def out(self):
        return run("skopeo", "copy", "-q", f"oci:{self.place}/store:2", f"oci:{self.place}/out:2")

    def sizes(self):
        return {"store": disk_bytes(self.place / "store")}


class Restic(Peer):
    name = "restic"
    note = "backup of the unpacked tree"

    @classmethod
    def version(cls):
        return output("restic", "version").strip() if shutil.which("restic") else None

    def prepare(self):
        self.env = {"RESTIC_REPOSITORY": str(self.place / "store"), "RESTIC_PASSWORD_FILE": str(self.place / "password"),
                    "RESTIC_CACHE_DIR": str(self.place / "cache")}
        (self.place / "password").write_text("bench\n")
        run("restic", "init", env=self.env)

    def backup(self, tree):
        with at_one_path(tree) as here:
            return run("restic", "backup", "--quiet", here, env=self.env)

    def first(self):
        return self.backup("app-1")

    def again(self):
        return self.backup("app-1")

    def next(self):
        return self.backup("app-2")

    def snapshots(self):
        listed = json.loads(output("restic", "snapshots", "--json", env=self.env))
        return [snapshot["id"] for snapshot in sorted(listed, key=lambda snapshot: snapshot["time"])]

    def diff(self):
        before, after = self.snapshots()[-2:]
        return run("restic", "diff", before, after, env=self.env)

    def out(self):
        return run("restic", "restore", self.snapshots()[-1], "--target", self.place / "out", env=self.env)

    def sizes(self):
        return {"store": disk_bytes(self.place / "store")}


class Ostree(Peer):
    name = "ostree"
    note = "commit of the unpacked tree, archive mode"
    mode = "archive"

    @classmethod
    def version(cls):
        """`ostree --version` is a page of YAML."""
        return "ostree " + output("ostree", "--version").split("'")[1] if shutil.which("ostree") else None

    def prepare(self):
        self.repo = f"--repo={self.place / 'store'}"
        run("ostree", self.repo, "init", f"--mode={self.mode}")

    def commit(self, tree):
        return run("ostree", self.repo, "commit", "--branch=app", f"--tree=dir={TREES / tree}")

    def first(self):
        return self.commit("app-1")

    def again(self):
        return self.commit("app-1")

    def next(self):
        return self.commit("app-2")

    def diff(self):
        return run("ostree", self.repo, "diff", "app^", "app")

    def out(self):
        return run("ostree", self.repo, "checkout", "app", self.place / "out")

    def files_diff(self):
        repo = f"--repo={self.place / 'files-store'}"
        run("ostree", repo, "init", f"--mode={self.mode}")
        for version in "12":
            run("ostree", repo, "commit", "--branch=files", f"--tree=dir={TREES}/files-{version}")
        return run("ostree", repo, "diff", "files^", "files")

    def sizes(self):
        return {"store": disk_bytes(self.place / "store")}


class OstreeBare(Ostree):
    name = "ostree-bare"
    note = "commit of the unpacked tree, bare mode (uncompressed)"
    mode = "bare"
    files_diff = None


class DiffRq(Peer):
    name = "diff -rq"
    note = "of the unpacked trees"

    @classmethod
    def version(cls):
        return output("diff", "--version").splitlines()[0]

    def diff(self):
        return run("diff", "-rq", "--no-dereference", TREES / "app-1", TREES / "app-2", ok=(0, 1))

    def files_diff(self):
        return run("diff", "-rq", TREES / "files-1", TREES / "files-2", ok=(0, 1))


class Cfsctl(Peer):
    name = "cfsctl"
    note = "composefs, oci pull; keeps files uncompressed"
    binary = shutil.which("cfsctl") or str(BENCH / "cfsctl/bin/cfsctl")

    @classmethod
    def version(cls):
        return output(cls.binary, "--version").strip() if os.access(cls.binary, os.X_OK) else None

    def prepare(self):
        # Without fs-verity, which few file systems have.
        self.command = [self.binary, "--repo", self.place / "store", "--insecure"]
        run(*self.command, "init")

    def first(self):
        return run(*self.command, "oci", "pull", f"oci:{APP}:1", "one")

    def again(self):
        return run(*self.command, "oci", "pull", f"oci:{APP}:1", "one")

    def next(self):
        return run(*self.command, "oci", "pull", f"oci:{APP}:2", "two")

    def sizes(self):
        return {"store": disk_bytes(self.place / "store")}


PEERS = [Imgit, Restic, Umoci, Cfsctl, Ostree, OstreeBare, Skopeo, DiffRq]


def warm(folder):
    """Reads a folder once, so that no peer pays for the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    while file.read(1 << 20):
                        pass


def measure(peers, rounds):
    """samples[deed][peer] = [Sample per round]; sizes[peer] = {what: bytes}."""
    samples = {deed: {} for deed in DEEDS}
    sizes = {}
    state = BENCH / "state"
    shutil.rmtree(state, ignore_errors=True)
    put_back()
    for number in range(1, rounds + 1):
        if shutil.disk_usage(BENCH).free < MIN_FREE_BYTES:
            shutil.rmtree(state, ignore_errors=True)
            os.sync()
            time.sleep(20)
            if shutil.disk_usage(BENCH).free < MIN_FREE_BYTES:
                raise SystemExit(f"run.py: under {MIN_FREE_BYTES >> 30} GB free in {BENCH}")
        state.mkdir(exist_ok=True)
        for folder in (APP, FILES, TREES):
            warm(folder)
        # Another one first each round.
        turn = (number - 1) % len(peers)
        lineup = [peer(state / str(number) / peer.name.replace(" ", "")) for peer in peers[turn:] + peers[:turn]]
        for one in lineup:
            one.prepare()
        for deed in DEEDS:
            for one in lineup:
                if act := getattr(one, deed, None):
                    sample = act()
                    samples[deed].setdefault(one.name, []).append(sample)
                    print(f"round {number}  {deed:10}  {one.name:12}  {sample.wall:8.3f} s  cpu {sample.cpu:7.3f} s  "
                          f"{sample.rss / 1e6:6.0f} MB", flush=True)
            if deed == "next":
                for one in lineup:
                    sizes[one.name] = one.sizes()
    return samples, sizes


def seconds(value):
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def megabytes(value):
    return f"{value / 1e6:.0f} MB"


class Report:
    def __init__(self, peers, samples, sizes, rounds):
        self.peers, self.samples, self.sizes, self.rounds = peers, samples, sizes, rounds
        self.ours = Imgit.name

    def median(self, deed, peer, field="wall"):
        found = self.samples[deed].get(peer)
        return statistics.median(getattr(sample, field) for sample in found) if found else None

    def times(self):
        names = [peer.name for peer in self.peers]
        yield "| | " + " | ".join(names) + " |"
        yield "|---|" + "---:|" * len(names)
        for deed, title in DEEDS.items():
            ours = self.median(deed, self.ours)
            cells = []
            for name in names:
                value = self.median(deed, name)
                if value is None:
                    cells.append("")
                elif ours and name != self.ours:
                    cells.append(f"{seconds(value)} ({value / ours:.1f}×)")
                else:
                    cells.append(seconds(value))
            yield f"| {title} | " + " | ".join(cells) + " |"
        cells = [megabytes(max(found)) if (found := [s.rss for d in DEEDS for s in self.samples[d].get(name, [])]) else "" for name in names]
        yield "| largest process, any deed | " + " | ".join(cells) + " |"
        cells = [megabytes(self.sizes[name]["store"]) if self.sizes.get(name) else "" for name in names]
        yield "| on disk with both versions | " + " | ".join(cells) + " |"

    def targets(self):
        """(what, bound as text, measured as text, met) for each target of the project."""
        def faster(deed, peer, factor):
            ours, theirs = self.median(deed, self.ours), self.median(deed, peer)
            if ours is None or theirs is None:
                return None
            return (f"{DEEDS[deed]}: against {peer}", f"≥ {factor} × faster", f"{theirs / ours:.1f} ×", theirs / ours >= factor)

        def under(what, value, bound, show):
            return None if value is None else (what, f"< {show(bound)}", show(value), value < bound)

        peaks = [s.rss for deed in ("first", "next") for s in self.samples[deed].get(self.ours, [])]
        mine = self.sizes.get(self.ours, {}).get("contents and manifests")
        smallest = min((self.sizes[p]["store"] for p in ("restic", "ostree") if self.sizes.get(p)), default=None)
        yield faster("first", "restic", 2)
        yield faster("first", "umoci", 2.5)
        yield faster("first", "cfsctl", 1.3)
        yield under(DEEDS["again"], self.median("again", self.ours), 0.050, seconds)
        yield faster("next", "restic", 2)
        yield faster("diff", "ostree", 5)
        yield faster("diff", "diff -rq", 20)
        yield under(DEEDS["files_diff"] + ", process time", self.median("files_diff", self.ours, "cpu"), 0.050, seconds)
        yield under("peak memory of an import", max(peaks, default=None), 300e6, megabytes)
        if mine is not None and smallest is not None:
            yield ("contents and manifests, kept blobs counted apart", f"≤ {megabytes(smallest)} (restic, ostree)",
                   megabytes(mine), mine <= smallest)

    def lines(self):
        both = {**layers(APP)}
        yield "# Benchmarks"
        yield ""
        yield (f"Medians of {self.rounds} round{'s' if self.rounds > 1 else ''}, peers interleaved, {os.cpu_count()} cores, {datetime.date.today()}, by "
               "`make bench`. In brackets: how many times imgit's time a peer took. The images: a Debian with python3, nginx, "
               f"compilers and an application in five gzip layers, twice; {megabytes(sum(both.values()))} in {len(both)} distinct layers.")
        yield ""
        yield from self.times()
        yield ""
        for peer in self.peers:
            yield f"- {peer.name}: {peer.version()}" + (f"; {peer.note}" if peer.note else "")
        if self.sizes.get(self.ours):
            yield ""
            yield "imgit's store: " + ", ".join(f"{what} {megabytes(size)}" for what, size in self.sizes[self.ours].items()) + "."
        targets = [target for target in self.targets() if target]
        if targets:
            yield ""
            yield "| target | bound | measured | met |"
            yield "|---|---|---:|---|"
            for what, bound, measured, met in targets:
                yield f"| {what} | {bound} | {measured} | {'yes' if met else '**no**'} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "3")))
    parser.add_argument("--only", help="names of peers, with commas between")
    parser.add_argument("--out", default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else None
    peers = []
    for peer in PEERS:
        if wanted and peer.name not in wanted:
            continue
        if peer.version() is None:
            print(f"Left out {peer.name}: not installed.", file=sys.stderr)
        else:
            peers.append(peer)
    try:
        samples, sizes = measure(peers, arguments.rounds)
    finally:
        shutil.rmtree(BENCH / "state", ignore_errors=True)
    text = "\n".join(Report(peers, samples, sizes, arguments.rounds).lines()) + "\n"
    pathlib.Path(arguments.out).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
