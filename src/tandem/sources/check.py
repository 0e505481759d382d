"""What is known of sources before anything is downloaded: files, credentials, pin, and what the service has."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile, is_zipfile

from tandem.files import closest_name, is_lfs_pointer, list_files, sha256
from tandem.sources.settings import Source
from tandem.sources.synthetic.folders import labels_of
from tandem.sources.transfer.attempt import Limits
from tandem.sources.unpacking.zip_names import member_name

if TYPE_CHECKING:
    from tandem.sources.status import SourceStatus

FOLDER_FORMATS = ("class_folders", "roboflow_folder")  # whose labels are names of folders
_ANNOTATIONS = (".json", ".jsonl", ".yaml", ".yml", ".xml", ".csv", ".tsv", ".txt", ".zip", ".tar", ".gz", ".parquet")
_MAX_HASHED_BYTES = 2 * 10**9  # a few seconds
_LIMITS = Limits(silence_s=20, grace_s=20, total_s=120)  # of a question; a download may take longer


def check_source(
    name: str, source: Source, *, environ: Mapping[str, str], is_online: bool, limits: Limits = _LIMITS
) -> "SourceStatus":
    """The status of `sources.<name>`. is_online: whether its service is asked; nothing is downloaded."""
    from tandem.sources.kinds import SOURCE_KINDS  # and requests, which files need not wait for

    kind = SOURCE_KINDS[source.kind]
    return kind.check(name, source.description, limits=limits, environ=environ, is_online=is_online)


def archive_problem(name: str, source: Source, *, may_be_gone: Callable[[], bool]) -> str:
    """What is wrong with the file or folder of an archive, "" where nothing is known to be.

    may_be_gone: whether it was downloaded already, so that it is no longer needed. The digest of a large file is left
    to the download, and so is that of a folder.
    """
    if source.archive is None:
        return ""
    where = f"sources.{name}.archive.path"
    if source.archive.is_address:
        return _address_problem(source.archive.path, where=where)
    path, expected = source.archive.location, source.archive.sha256
    try:
        if not path.exists():
            what = f"{where}: there is no file or folder {path.absolute()}; {closest_name(path)}"
            return "" if may_be_gone() else f"{what}put it there, or correct the path"
        if path.is_dir():
            return "" if any(path.iterdir()) else f"{where}: the folder {path} is empty; fill it, or correct the path"
        if not path.is_file():
            return f"{where}: {path} is neither a file nor a folder; name a zip, a tar or a folder"
        return _file_problem(path, expected, where=where)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return f"{where}: {path} cannot be read ({getattr(error, 'strerror', None) or error}); check the path"


def _address_problem(address: str, *, where: str) -> str:
    """Whether there is a package that reads it; the store is not asked."""
    from fsspec import get_filesystem_class  # for addresses alone

    try:
        get_filesystem_class(address.partition("://")[0])
    except (ImportError, ValueError) as error:
        return f"{where} is {address!r}, which cannot be read ({error}); for s3:// install tandem[s3]"
    return ""


def _file_problem(path: Path, expected: str | None, *, where: str) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        if is_lfs_pointer(file.read(64)):
            return f"{where}: {path} is a pointer of Git LFS; run `git lfs pull` where it was cloned"
    if not size:
        return f"{where}: {path} is empty; get it again"
    if expected and size <= _MAX_HASHED_BYTES and (digest := sha256(path)) != expected:
        return f"{where}: {path} has sha256 {digest}, and {expected} is expected; get the right file, or correct sha256"
    return ""


def folder_names(source: Source) -> frozenset[str] | None:
    """The names of all folders of a source, among which are its labels; None where a label can stand elsewhere.

    That is so for what a service has, for a tar, and where annotations lie beside the images.
    """
    if source.sample is not None:
        return labels_of(source.sample.style)
    path = source.archive.location if source.archive and not source.archive.is_address else None
    try:
        if path is None or not path.exists():
            return None
        names = _names_in(path)
    except (OSError, BadZipFile, ValueError):
        return None
    if names is None or (source.format not in FOLDER_FORMATS and any(_may_hold_labels(name) for name in names)):
        return None
    return frozenset(part for name in names for part in PurePosixPath(name).parts[:-1])


def _names_in(path: Path) -> list[str] | None:
    """Of all files of a folder or a zip; None of another archive."""
    if path.is_dir():
        return [file.relative_to(path).as_posix() for file in list_files(path)]
    if not is_zipfile(path):
        return None
    with ZipFile(path) as archive:
        names = (member_name(info).replace("\\", "/") for info in archive.infolist())
        return [name for name in names if not name.endswith("/")]


def _may_hold_labels(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in _ANNOTATIONS and not path.stem.lower().startswith(("readme", "licen"))


def format_statuses(statuses: "Sequence[SourceStatus]") -> str:
    """Statuses as text: a paragraph for each source."""
    return "\n\n".join(
        "\n".join(
            (f"{status.name}: {status.what}", *(f"  {key.ljust(12)} {fact}" for key, fact in status.facts.items()))
        )
        for status in statuses
    )
