"""Memory, disks and limits, judged of planted facts and read of this machine."""

import os
from pathlib import Path

import psutil
import pytest

from tandem.doctor.machine import (
    Disk,
    Memory,
    Needs,
    ProcessLimits,
    judge_disks,
    judge_limits,
    judge_memory,
    look_at_disks,
    memory_limit,
    read_limits,
    read_memory,
)

GB = 10**9


@pytest.mark.parametrize(
    ("memory", "level", "words"),
    [
        (Memory(16 * GB, 12 * GB, None), "ok", "12.0 GB of 16.0 GB available"),
        (Memory(16 * GB, 3 * GB, None), "note", "lower runtime.workers"),
        (Memory(16 * GB, GB // 2, None), "error", "0.5 GB of 16.0 GB"),
        (Memory(64 * GB, 60 * GB, 2 * GB), "note", "of which this container may use 2.0 GB"),
        (Memory(64 * GB, 60 * GB, GB // 2), "error", "raise the container's limit"),
    ],
)
def test_memory_is_what_is_available_within_the_limit_of_a_container(memory, level, words):
    (found,) = judge_memory(memory)
    assert found.level == level
    assert words in str(found)


def test_memory_of_this_machine_is_that_which_psutil_counts():
    found = read_memory()
    assert found.total == psutil.virtual_memory().total
    assert 0 < found.available <= found.total


def test_the_lowest_limit_of_the_control_groups_above_a_process_counts(tmp_path):
    for name, limit in {"a/b": "max", "a": str(3 * GB), ".": str(8 * GB)}.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "memory.max").write_text(f"{limit}\n")
    assert memory_limit("0::/a/b\n", tmp_path) == 3 * GB
    assert memory_limit("0::/other\n", tmp_path) == 8 * GB
    assert memory_limit("", tmp_path) is None


def test_the_first_version_of_control_groups_writes_a_huge_number_for_no_limit(tmp_path):
    (tmp_path / "memory/box").mkdir(parents=True)
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    groups = "5:cpu,cpuacct:/box\n4:memory:/box\n"
    assert memory_limit(groups, tmp_path) is None
    (tmp_path / "memory/box/memory.limit_in_bytes").write_text(f"{GB}\n")
    assert memory_limit(groups, tmp_path) == GB


def disk(free=100 * GB, kind="ext4", is_writable=True, holds_data=True):
    return Disk(("data/", "TMPDIR"), Path("/mnt"), free, kind, is_writable, holds_data)


@pytest.mark.parametrize(
    ("one", "needs", "level", "words"),
    [
        (disk(), Needs(), "ok", "100.0 GB free at /mnt for data/, TMPDIR"),
        (disk(), Needs(0, ("street",)), "ok", "the size of street is not known before the download"),
        (disk(free=3 * GB), Needs(), "note", "make room there"),
        (disk(free=GB // 2), Needs(), "error", "0.5 GB free"),
        (disk(), Needs(40 * GB), "note", "the sources of 40.0 GB may take 3 times as much"),
        (disk(), Needs(101 * GB), "error", "the sources alone have 101.0 GB"),
        (disk(free=2 * GB, holds_data=False), Needs(40 * GB), "ok", "2.0 GB free"),
        (disk(free=GB // 2, holds_data=False), Needs(), "note", "make room there"),
        (disk(free=10**6, holds_data=False), Needs(), "error", "0.0 GB free"),
        (disk(is_writable=False), Needs(), "error", "/mnt cannot be written to, and is for data/, TMPDIR"),
    ],
)
def test_a_disk_has_room_for_what_the_sources_need(one, needs, level, words):
    (found,) = judge_disks([one], needs)
    assert found.level == level
    assert words in str(found)


def test_a_network_disk_is_told_since_locks_may_not_hold_there():
    room, locks = judge_disks([disk(kind="nfs4")], Needs())
    assert (room.level, locks.level) == ("ok", "note")
    assert "/mnt (data/, TMPDIR) is on a network disk (nfs4)" in locks.text
    assert "TANDEM_CACHE_DIR" in locks.advice


def test_folders_on_one_disk_are_one_line_even_those_that_are_not_there_yet(tmp_path):
    (found,) = look_at_disks({"data/": tmp_path / "not/there"}, {"TMPDIR": tmp_path})
    assert found.roles == ("data/", "TMPDIR")
    assert found.path == tmp_path
    assert found.is_writable
    assert found.holds_data
    assert found.free > 0
    assert found.kind


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_a_line_of_its_own(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    found = look_at_disks({"data/": tmp_path / "closed"}, {"TMPDIR": tmp_path})
    assert [(each.roles, each.is_writable) for each in found] == [(("data/",), False), (("TMPDIR",), True)]


@pytest.mark.parametrize(
    ("limits", "levels", "words"),
    [
        (ProcessLimits(4096, GB), ["ok", "ok"], "a process may open 4096"),
        (ProcessLimits(None, GB), ["ok", "ok"], "any number"),
        (ProcessLimits(512, GB), ["note", "ok"], "`ulimit -n 4096`"),
        (ProcessLimits(64, GB), ["error", "ok"], "a process may open 64"),
        (ProcessLimits(4096, 10**6), ["ok", "note"], "--shm-size=1g"),
        (ProcessLimits(4096, None), ["ok", "error"], "/dev/shm is missing"),
    ],
)
def test_limits_of_a_process(limits, levels, words):
    found = judge_limits(limits, system="linux")
    assert [each.level for each in found] == levels
    assert any(words in str(each) for each in found)
    assert len(judge_limits(limits, system="darwin")) == 1


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has none")
def test_limits_of_this_process_are_read():
    import resource

    found = read_limits()
    assert found.open_files in (None, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    assert found.shared_bytes is not None
