"""What one clone hands to another through a DVC remote, as docs/remotes.md has it: the real dvc in scratch clones.

One remote is a folder, the other a bucket of an S3-compatible server on the loopback interface.
"""

import re
import secrets
import shutil
import sys
from contextlib import contextmanager

import pytest

from scratch_project import NO_AWS, Clone, Run, copied

pytestmark = pytest.mark.slow

# An experiment with one class more, as far as a stage that is cheap, and what that writes.
STAGE = "merge"
EXPERIMENT = ("exp", "run", STAGE, "-S", "labels.ignore=[]", "-S", "+labels.classes.blot=[]")
WRITTEN = "metrics/merge.json"
KEY, SECRET = (secrets.token_hex(10) for _ in range(2))


@pytest.fixture(scope="module")
def by_folder(first, work):
    """A clone that pushed its outputs to a folder, one that pulled them, and what `dvc repro` did there."""
    with copied(first[0], work, "pushed to a folder") as one:
        one.dvc("remote", "add", "--default", "storage", str(work / "remote"))
        one.commit("a remote")
        one.dvc("push")
        with second_clone(one) as other:
            other.dvc("pull")
            yield one, other, other.repro()


@pytest.fixture(scope="module")
def by_bucket(first, work, bucket):
    """A clone that ran an experiment and pushed it to a bucket; one that pulled, and what the same one did there."""
    with copied(Clone(first[0].root, NO_AWS), work, "pushed to a bucket") as one:
        one.dvc("remote", "add", "--default", "storage", "s3://team/tandem")
        one.dvc("remote", "modify", "storage", "endpointurl", bucket)
        one.dvc("remote", "modify", "--local", "storage", "access_key_id", KEY)
        one.dvc("remote", "modify", "--local", "storage", "secret_access_key", SECRET)
        one.commit("a remote")
        one.dvc(*EXPERIMENT)
        one.dvc("push", "--run-cache", "--all-commits")
        with second_clone(one, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET) as other:
            other.dvc("pull", "--run-cache", "--with-deps", STAGE)
            before = (other.root / WRITTEN).read_bytes()
            yield one, other, before, Run.of(other.run(sys.executable, "-m", "dvc", *EXPERIMENT, "--pull"))


@contextmanager
def second_clone(one, **settings):
    """What git has of a clone, elsewhere: no cache, no outputs, no credentials but those given."""
    root = one.root.with_name(f"{one.root.name}-second")
    one.git("clone", "-q", "-c", "user.name=b", "-c", "user.email=b@example.invalid", ".", str(root))
    yield Clone(root, one.settings | settings)
    shutil.rmtree(root)


def files(clone):
    """Path -> bytes of every file that any stage wrote."""
    outs = [clone.root / out for out in clone.lock()]
    found = [path for out in outs for path in (out.rglob("*") if out.is_dir() else [out]) if path.is_file()]
    return {path.relative_to(clone.root).as_posix(): path.read_bytes() for path in found}


def test_a_second_clone_runs_the_check_alone(by_folder):
    _, other, again = by_folder
    unchanged = re.findall(r"^Stage '(.+)' didn't change, skipping$", again.text, re.MULTILINE)
    assert (again.code, again.ran, again.restored) == (0, {"check"}, set())
    assert {"check", *unchanged} == set(other.stages())
    assert other.outdated() == set()
    assert other.git("status", "--porcelain") == ""


def test_a_second_clone_has_the_same_bytes_of_every_output(by_folder):
    one, other, _ = by_folder
    assert len(files(one)) > len(one.lock())
    assert files(other) == files(one)


def test_an_experiment_that_was_run_elsewhere_comes_from_the_bucket(by_bucket):
    one, other, before, again = by_bucket
    assert (again.code, again.ran, again.restored) == (0, {"check"}, {STAGE})
    assert before != (other.root / WRITTEN).read_bytes() == (one.root / WRITTEN).read_bytes()


def test_credentials_are_in_no_file_or_commit_that_git_has(by_bucket):
    one, *_ = by_bucket
    assert SECRET in (one.root / ".dvc/config.local").read_text()
    refs = one.git("for-each-ref", "--format=%(refname)").split()
    assert any(ref.startswith("refs/exps/") for ref in refs)
    for tree in ([], refs):
        assert one.run("git", "grep", "-e", KEY, "-e", SECRET, *tree, check=False).returncode == 1
