"""Memory, disks and limits of the machine, and of the container that the process runs in."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tandem.doctor.findings import Diagnosis, Level

_GB = 10**9
_MIN_MEMORY, _GOOD_MEMORY = 1 * _GB, 4 * _GB  # torch, DVC and one batch of images; two workers beside them
_MIN_DISK, _GOOD_DISK = 1 * _GB, 5 * _GB
_MIN_SCRATCH = 10**7
_MAKE_ROOM = "make room there"
_COPIES = 3  # of what a source has, while it runs: the download, what is stored of it, and DVC's cache
_MIN_FILES, _GOOD_FILES = 256, 1024  # open at once
_GOOD_SHARED = 16 * 10**6
_UNLIMITED = 2**60  # bytes; the first version of control groups writes nearly 2**63
# on which locks of SQLite and of mongod are not sure to hold
_NETWORK_KINDS = ("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "davfs", "vboxsf", "fuse.sshfs",
                  "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.goofys", "fuse.blobfuse2", "glusterfs")  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """Bytes. limit: of the container or service that the process runs in; None without one."""

    total: int
    available: int
    limit: int | None


@dataclass(frozen=True)
class Disk:
    """The disk under a folder. roles: what lies there. free: bytes that this user may still write. kind: as mounted.

    holds_data: whether images and outputs lie there, beside what programs need for a moment.
    """

    roles: tuple[str, ...]
    path: Path
    free: int
    kind: str
    is_writable: bool
    holds_data: bool


@dataclass(frozen=True)
class Needs:
    """num_bytes: of sources that are still to be fetched, as far as known. unknown: those whose size is not known."""

    num_bytes: int = 0
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessLimits:
    """open_files: most of a process; None without a limit. shared_bytes: free of /dev/shm; None where it is missing."""

    open_files: int | None
    shared_bytes: int | None


def read_memory() -> Memory:
    """Of this machine."""
    found = psutil.virtual_memory()
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        groups = ""
    return Memory(found.total, found.available, memory_limit(groups, Path("/sys/fs/cgroup")))


def memory_limit(groups: str, root: Path) -> int | None:
    """The lowest limit, in bytes, of a process's control groups (of both versions) and of those above them.

    groups: its /proc/<pid>/cgroup. root: where control groups are mounted.
    """
    found = list[int]()
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = Path(path.lstrip("/"))
        found += [limit for each in (folder, *folder.parents) if (limit := _number_in(top / each / name))]
    return min((limit for limit in found if limit < _UNLIMITED), default=None)


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def judge_memory(memory: Memory) -> list[Diagnosis]:
    """Enough for a run with two workers, or for any at all."""
    usable = min(memory.available, memory.limit or memory.available)
    limited = f", of which this container may use {_gb(memory.limit)}" if memory.limit else ""
    text = f"{_gb(memory.available)} of {_gb(memory.total)} available{limited}"
    if usable < _MIN_MEMORY:
        return [Diagnosis("memory", "error", text, "close other programs, or raise the container's limit")]
    if usable < _GOOD_MEMORY:
        return [Diagnosis("memory", "note", text, "if one is killed, lower runtime.workers and runtime.batch_size")]
    return [Diagnosis("memory", "ok", text)]


def look_at_disks(data: Mapping[str, Path], scratch: Mapping[str, Path]) -> list[Disk]:
    """One entry a disk that one of the folders lies on, or would lie on. data, scratch: role -> path."""
    found = dict[tuple[int, bool], Disk]()
    kinds = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    for role, folder in {**data, **scratch}.items():
        path = _existing(folder)
        key = (path.stat().st_dev, os.access(path, os.W_OK))
        new = Disk((), path, shutil.disk_usage(path).free, _kind_of(path, kinds), key[1], holds_data=role in data)
        disk = found.get(key, new)
        found[key] = replace(disk, roles=(*disk.roles, role))
    return list(found.values())


def _existing(folder: Path) -> Path:
    path = folder.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _kind_of(path: Path, kinds: Mapping[Path, str]) -> str:
    resolved = path.resolve()
    return next((kinds[each] for each in (resolved, *resolved.parents) if each in kinds), "")


def judge_disks(disks: Iterable[Disk], needs: Needs) -> list[Diagnosis]:
    """Each can be written to and has room for the sources; SQLite and mongod find locks that hold."""
    return [finding for disk in disks for finding in _judge_disk(disk, needs)]


def _judge_disk(disk: Disk, needs: Needs) -> list[Diagnosis]:
    roles, subject = ", ".join(disk.roles), "disk"
    text = f"{_gb(disk.free)} free at {disk.path} for {roles}"
    if not disk.is_writable:
        what = f"{disk.path} cannot be written to, and is for {roles}"
        return [Diagnosis(subject, "error", what, "change its owner or its mode, or work in another folder")]
    found = _judge_room(disk, needs, text) if disk.holds_data else _judge_scratch(disk, text)
    if disk.kind not in _NETWORK_KINDS:
        return [found]
    shared = f"{disk.path} ({roles}) is on a network disk ({disk.kind}), where locks of SQLite may not hold"
    return [found, Diagnosis(subject, "note", shared, "set TANDEM_CACHE_DIR and DVC_SITE_CACHE_DIR to a local disk")]


def _judge_room(disk: Disk, needs: Needs, text: str) -> Diagnosis:
    if disk.free < max(_MIN_DISK, needs.num_bytes):
        known = f"; the sources alone have {_gb(needs.num_bytes)}" if needs.num_bytes else ""
        return Diagnosis("disk", "error", f"{text}{known}", _MAKE_ROOM)
    if disk.free < max(_GOOD_DISK, _COPIES * needs.num_bytes):
        about = f"; the sources of {_gb(needs.num_bytes)} may take {_COPIES} times as much" if needs.num_bytes else ""
        return Diagnosis("disk", "note", f"{text}{about}", _MAKE_ROOM)
    unknown = f"; the size of {', '.join(needs.unknown)} is not known before the download" if needs.unknown else ""
    return Diagnosis("disk", "ok", f"{text}{unknown}")


def _judge_scratch(disk: Disk, text: str) -> Diagnosis:
    if disk.free >= _MIN_DISK:
        return Diagnosis("disk", "ok", text)
    return Diagnosis("disk", "error" if disk.free < _MIN_SCRATCH else "note", text, _MAKE_ROOM)


def read_limits() -> ProcessLimits:
    """Of this process."""
    shared = Path("/dev/shm")  # noqa: S108
    is_there = shared.is_dir() and os.access(shared, os.W_OK)
    return ProcessLimits(_open_files(), shutil.disk_usage(shared).free if is_there else None)


def _open_files() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # of POSIX systems alone

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def judge_limits(limits: ProcessLimits, *, system: str) -> list[Diagnosis]:
    """system: as sys.platform has it; only Linux keeps semaphores in /dev/shm."""
    return [_judge_files(limits.open_files), *([_judge_shared(limits.shared_bytes)] if system == "linux" else [])]


def _judge_files(most: int | None) -> Diagnosis:
    if most is None or most >= _GOOD_FILES:
        return Diagnosis("open files", "ok", f"a process may open {most or 'any number'}")
    level: Level = "error" if most < _MIN_FILES else "note"
    return Diagnosis("open files", level, f"a process may open {most}", "raise the limit: `ulimit -n 4096`")


def _judge_shared(free: int | None) -> Diagnosis:
    if free is None:
        what = "/dev/shm is missing or cannot be written to; processes that train side by side need it"  # noqa: S108
        return Diagnosis("shared memory", "error", what, "mount it: `mount -t tmpfs tmpfs /dev/shm`")
    text = f"{free / 10**6:.0f} MB free in /dev/shm"
    if free < _GOOD_SHARED:
        return Diagnosis("shared memory", "note", text, "start the container with --shm-size=1g")
    return Diagnosis("shared memory", "ok", text)


def temporary_folder() -> Path:
    """Where programs put what they need for a moment (TMPDIR)."""
    return Path(tempfile.gettempdir())


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / _GB:.1f} GB"
