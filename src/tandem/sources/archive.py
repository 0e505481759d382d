"""A zip, a tar or a folder that the user already has, or a zip or tar in an object store. It is read, never changed."""

import os
import shutil
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tandem import files
from tandem.errors import SourceError
from tandem.sources.receipts import Fetched
from tandem.sources.settings import ArchiveSource
from tandem.sources.status import SourceStatus, pin_in_words
from tandem.sources.transfer import object_client
from tandem.sources.transfer.attempt import DEFAULT_LIMITS, ClientCall, Limits
from tandem.sources.transfer.failures import Failure
from tandem.sources.transfer.fetch import Request, fetch_with_retries, query
from tandem.sources.unpacking.litter import is_litter_folder, litter, litter_in_words
from tandem.sources.unpacking.unpack import name_problem, unpack

IS_REMOTE = False
_NUM_SHOWN = 4  # of a folder's names that cannot be taken
_LINK = "is a symbolic link"
_AT_ADDRESS = "archive"  # what is under way is called


def fetch(target: Path, source: ArchiveSource, **given: Any) -> Fetched:
    """Write what `source.path` holds to the folder `target`, which is replaced only when all went well.

    source.sha256: expected digest, None to take any: of an archive's bytes, or files.dir_sha256 of a folder without
    its litter (unpacking.litter). given: of an address, what Kind.fetch is given. Raises SourceError when the path is
    missing, empty, unsafe, of another digest, or when one of the two folders would lie in the other.
    """
    if source.is_address:
        return _fetch_address(target, source, **given)
    path = source.location
    if not path.exists():
        what = f"there is no file or folder {path.absolute()}; {files.closest_name(path)}"
        raise SourceError(f"{what}put it there, or correct the source's path")
    _require_apart(path, target)
    if path.is_file():
        return _fetch_archive(target, path, source.sha256)._replace(what=Path(source.path).as_posix())
    if path.is_dir():
        return _fetch_folder(target, path, source.sha256)._replace(what=Path(source.path).as_posix())
    raise SourceError(f"{path} is neither a file nor a folder; name a zip, a tar or a folder")


def check(
    name: str,
    source: ArchiveSource,
    *,
    limits: Limits = DEFAULT_LIMITS,
    environ: Mapping[str, str] = os.environ,
    is_online: bool = True,
) -> SourceStatus:
    """Whether the file or folder exists; of an address where its store may be asked."""
    if source.is_address:
        return _check_address(name, source, limits, environ, is_online=is_online)
    exists = source.location.exists()
    facts = {"pin": pin_in_words(source), "disk": "it is there" if exists else "it is not there; put it there"}
    return SourceStatus(name, f"archive {source.path}", facts, exists)


def _fetch_address(
    target: Path, source: ArchiveSource, *, scratch: Path, limits: Limits, environ: Mapping[str, str]
) -> Fetched:
    """By the client of object stores: with retries, and a part of the archive that can be resumed stays in scratch."""

    def publish(archive: Path) -> Mapping[str, int]:
        with files.atomic_dir(target) as folder:
            return unpack(archive, folder)

    call = _call(source.path, "download", environ)
    explain = partial(_explain, source.path)
    request = Request(call, archive=_AT_ADDRESS, can_resume=True, sha256=source.sha256, explain=explain)
    download = fetch_with_retries(request, scratch=scratch, publish=publish, limits=limits, environ=environ)
    return Fetched(
        what=source.path,
        version="",
        sha256=download.digests.sha256,
        archive_bytes=download.digests.num_bytes,
        served_hash=download.completed.etag,
        client=download.completed.result["client"],
        left_out=download.left_out,
    )


def _check_address(
    name: str, source: ArchiveSource, limits: Limits, environ: Mapping[str, str], *, is_online: bool
) -> SourceStatus:
    said, is_available = "not asked", True
    if is_online:
        call, explain = _call(source.path, "describe", environ), partial(_explain, source.path)
        try:
            num_bytes = query(call, explain=explain, limits=limits, environ=environ)["num_bytes"]
            said = f"it is there, {num_bytes / 1e6:,.1f} MB"
        except SourceError as error:
            said, is_available = str(error), False
    return SourceStatus(name, f"archive {source.path}", {"pin": pin_in_words(source), "store": said}, is_available)


def _call(url: str, do: str, environ: Mapping[str, str]) -> ClientCall:
    """With the user's home, in which credentials may be."""
    home = {"HOME": environ["HOME"]} if "HOME" in environ else {}
    secrets = tuple(environ[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN") if environ.get(name))
    return ClientCall(object_client.__name__, {"do": do, "url": url, "archive": _AT_ADDRESS}, home, secrets, url)


def _explain(url: str, failure: Failure) -> str:
    """What to do about a failure; "" where nothing special is known."""
    if failure.status == 404:
        return "there is no such file; correct the source's path, and AWS_ENDPOINT_URL of a store that is not Amazon's"
    if failure.status == 403 or failure.kind == "credentials":
        return (
            "give credentials that may read it, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, "
            "or a profile in ~/.aws"
        )
    if failure.kind == "client":
        return f"name a zip or a tar at an address that fsspec knows, not {url}; s3:// takes tandem[s3]"
    return ""


def _fetch_archive(target: Path, path: Path, expected: str | None) -> Fetched:
    try:
        digest = files.sha256(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check its permissions and its disk") from None
    _require_digest(path, expected, digest)
    with files.atomic_dir(target) as folder:
        left_out = unpack(path, folder)
    return Fetched(what=path.as_posix(), version="", sha256=digest, left_out=left_out)


def _fetch_folder(target: Path, path: Path, expected: str | None) -> Fetched:
    names, left_out = regular_files(path)
    if not names:
        beside = f" ({litter_in_words(left_out)})" if left_out else ""
        raise SourceError(f"folder {path} holds no files{beside}; fill it, or correct the source's path")
    with files.atomic_dir(target) as folder:
        for name in tqdm(names, f"copy {path.name}", unit="file", disable=None):
            _copy(name, path, folder)
        digest = files.dir_sha256(folder)
        _require_digest(path, expected, digest)
    return Fetched(what=path.as_posix(), version="", sha256=digest, left_out=left_out)


def regular_files(root: Path) -> tuple[list[str], Counter[str]]:
    """Relative POSIX paths of all regular files but litter, sorted; the number of files of each kind of litter.

    Raises SourceError for links, devices and unusable names, with their number and the first of them.
    """
    names, problems = list[str](), list[tuple[str, str]]()
    left_out = Counter[str]()
    for parent, folders, others in os.walk(root, onerror=_raise_unreadable):
        for hidden in filter(is_litter_folder, folders):
            left_out[f"{hidden}/"] += sum(len(inside) for _, _, inside in os.walk(Path(parent, hidden)))
        folders[:] = [name for name in folders if not is_litter_folder(name)]
        for path in (Path(parent, name) for name in (*folders, *others)):
            name, mode = path.relative_to(root).as_posix(), path.lstat().st_mode
            if not stat.S_ISDIR(mode) and (found := litter(path.name)):
                left_out[found] += 1
                continue
            if problem := name_problem(name) or _type_problem(mode):
                problems.append((name, problem))
            elif stat.S_ISREG(mode):
                names.append(name)
    if problems:
        raise SourceError(f"folder {root}: {_in_words(sorted(problems))}")
    return sorted(names), +left_out


def _in_words(problems: Sequence[tuple[str, str]]) -> str:
    """problems: of each name what it is."""
    first = ", ".join(f"{name!r} {problem}" for name, problem in problems[:_NUM_SHOWN])
    # a link of a folder from elsewhere could lead to any file of this machine, such as a key
    copy = "; `cp -rL` copies a folder without links" if any(problem == _LINK for _, problem in problems) else ""
    if len(problems) == 1:
        return f"{first}; replace, rename or remove it{copy}"
    more = f" and {len(problems) - _NUM_SHOWN} more" if len(problems) > _NUM_SHOWN else ""
    return (
        f"{len(problems)} entries are no files that can be taken: {first}{more}; replace, rename or remove them{copy}"
    )


def _type_problem(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return _LINK
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is a device or another special file"


def _copy(name: str, root: Path, folder: Path) -> None:
    """Copy the bytes: through a hard link, a change in the target would change the user's file."""
    try:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, folder / name, follow_symlinks=False)
    except OSError as error:
        sizes = f"{(root / name).stat().st_size} bytes are needed, {shutil.disk_usage(folder).free} are free"
        raise SourceError(
            f"{root / name} cannot be copied to {folder}: {error.strerror} ({sizes}); "
            "make room there, or check the permissions"
        ) from None


def _raise_unreadable(error: OSError) -> None:
    raise SourceError(f"folder {error.filename} cannot be read: {error.strerror}; check its permissions")


def _require_apart(path: Path, target: Path) -> None:
    source, written = path.resolve(), target.resolve()
    if source.is_relative_to(written) or written.is_relative_to(source):
        raise SourceError(f"{path} and {target}, where it is written to, lie in one another; move {path} elsewhere")


def _require_digest(path: Path, expected: str | None, digest: str) -> None:
    if expected is not None and expected.lower() != digest:
        raise SourceError(
            f"{path} has sha256 {digest}, but {expected} is expected; get the right file again, "
            "or correct sha256 if the change is meant"
        )
