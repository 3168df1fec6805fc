#!/usr/bin/env python3
"""Compares imgit with its peers on the disk of a VM and its next version (made by testdata/make/machines.sh).

    IMGIT=target/release/imgit tests/bench/disks.py [--rounds N] [--appliance] [--out DISKS.md]

`--appliance` adds what boots libguestfs, minutes each without KVM. Medians; tar over a loop mount needs root.
"""

import argparse
import datetime
import os
import pathlib
import shutil
import statistics
import subprocess

from run import BENCH, disk_bytes, megabytes, output, run, seconds

HERE = pathlib.Path(__file__).parent
MACHINES = pathlib.Path(os.environ.get("IMGIT_MACHINES_DIR", "/var/tmp/imgit-machines")).resolve()
ONE, TWO = MACHINES / "gpt-1.raw", MACHINES / "gpt-2.raw"
WORK = BENCH / "state" / "disks"


def imgit(*arguments, store="store"):
    binary = str(pathlib.Path(os.environ["IMGIT"]).resolve())
    return run(binary, "-q", *arguments, env={"IMGIT_STORE": str(WORK / store)})


def tar_on_loop():
    mount = WORK / "mnt"
    mount.mkdir()
    start = output("sh", "-c", f"sfdisk -J {ONE} | jq '.partitiontable.partitions[1].start * 512'").strip()
    if subprocess.run(["mount", "-o", f"loop,ro,offset={start}", ONE, mount]).returncode:
        return None     # no loop devices here
    try:
        return run("sh", "-c", f"tar -C {mount} --xattrs -cf - . | cat > /dev/null")
    finally:
        subprocess.run(["umount", mount], check=True)


def restic(disk):
    env = {"RESTIC_REPOSITORY": str(WORK / "restic"), "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": str(WORK / "cache")}
    if not (WORK / "restic").exists():
        run("restic", "init", env=env)
    here = WORK / "disk.raw"
    here.unlink(missing_ok=True)
    os.link(disk, here)
    return run("restic", "backup", "--quiet", here, env=env)


def measured(rounds, appliance):
    samples, sizes = {}, {}

    def take(what, sample):
        if sample:
            samples.setdefault(what, []).append(sample)

    for _ in range(rounds):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        take("tar of the loop-mounted disk", tar_on_loop())
        take("imgit import, native reader", imgit("import", "--reader", "native", f"raw:{ONE}", "vm"))
        sizes["imgit, first version"] = disk_bytes(WORK / "store")
        take("imgit import of the same disk again", imgit("import", f"raw:{ONE}", "vm"))
        take("imgit import of the next version", imgit("import", f"raw:{TWO}", "vm"))
        sizes["imgit, both"] = disk_bytes(WORK / "store")
        take("imgit export to raw", imgit("export", "vm", f"raw:{WORK / 'out.raw'}"))
        subprocess.run(["cmp", TWO, WORK / "out.raw"], check=True)
        (WORK / "out.raw").unlink()
        take("restic backup of the raw disk", restic(ONE))
        sizes["restic, first version"] = disk_bytes(WORK / "restic")
        take("restic backup of the next version", restic(TWO))
        sizes["restic, both"] = disk_bytes(WORK / "restic")
        take("qemu-img convert -c", run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", ONE, WORK / "one.qcow2"))
        sizes["qemu-img convert -c, first version"] = (WORK / "one.qcow2").stat().st_blocks * 512
    if appliance:
        take("imgit import, libguestfs", imgit("import", "--reader", "guestfs", f"raw:{ONE}", "vm", store="guestfs"))
        for what, disk in ("xfs on LVM", "lvm.raw"), ("btrfs", "btrfs.raw"):
            take(f"imgit import, libguestfs, {what}", imgit("import", f"raw:{MACHINES / disk}", "vm", store=disk))
        env = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
        command = f"virt-tar-out --format=raw -a {ONE} / - > /dev/null"
        take("virt-tar-out", run("sh", "-c", command, env=env))
    shutil.rmtree(WORK, ignore_errors=True)
    return samples, sizes


def lines(samples, sizes, rounds):
    median = {what: statistics.median(sample.wall for sample in found) for what, found in samples.items()}
    native = median["imgit import, native reader"]
    yield "# Disks"
    yield ""
    yield (f"Medians of {rounds} round{'s' if rounds > 1 else ''}, {os.cpu_count()} cores, {datetime.date.today()}, by `make bench-disks`. "
           "A 3 GiB raw disk, GPT with an ESP and an ext4 root of a Debian with a kernel, python3, nginx and a compiler, and its next version.")
    yield ""
    yield "| | time | of imgit's native import | largest process |"
    yield "|---|---:|---:|---:|"
    for what, found in samples.items():
        rss = megabytes(max(sample.rss for sample in found))
        yield f"| {what} | {seconds(median[what])} | {median[what] / native:.1f}× | {rss} |"
    yield ""
    yield "| on disk | |"
    yield "|---|---:|"
    for what, size in sizes.items():
        yield f"| {what} | {megabytes(size)} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--appliance", action="store_true")
    parser.add_argument("--out", default=HERE / "DISKS.md")
    arguments = parser.parse_args()
    text = "\n".join(lines(*measured(arguments.rounds, arguments.appliance), arguments.rounds)) + "\n"
    pathlib.Path(arguments.out).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
