"""A version of a project of roboflow.com, through its official client: the only module that knows Roboflow's ways."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tandem import files
from tandem.errors import SourceError
from tandem.sources import credentials
from tandem.sources.credentials import ROBOFLOW_PAGE, Credentials
from tandem.sources.receipts import Fetched
from tandem.sources.transfer import fetch as fetching
from tandem.sources.transfer import roboflow_client
from tandem.sources.transfer.attempt import ClientCall, Limits
from tandem.sources.transfer.failures import Failure
from tandem.sources.transfer.fetch import Request, ServiceInfo
from tandem.sources.unpack import unpack

ARCHIVE = "roboflow.zip"  # the client's name for any export
VOLATILE = ("README.roboflow.txt",)  # holds the minute of the export, which is made anew now and then


def fetch(
    target: Path,
    *,
    project: str,
    version: int,
    format: str,
    tree_sha256: str | None = None,
    scratch: Path,
    limits: Limits,
    environ: Mapping[str, str],
) -> Fetched:
    """Write an export of version `version` of "workspace/project" to the folder `target`, replaced when all went well.

    format: of the export, in Roboflow's words: folder, coco, yolov8, ... tree_sha256: expected of the files without
    VOLATILE, None to take any. scratch: folder for what is under way. environ: where the key is looked for. Raises
    SourceError.
    """
    who = credentials.roboflow(environ)

    def explain(failure: Failure) -> str:
        if failure.status in (400, 404) and not failure.is_archive:
            return _offers_told(failure, project, version, format, limits, environ)
        return _explained(failure, project)

    def publish(archive: Path) -> None:
        with files.atomic_dir(target) as folder:
            unpack(archive, folder)
            _require_images(folder)
            _require_digest(folder, tree_sha256)

    task = _task(who, {"do": "download", "project": project, "version": version, "format": format})
    order = Request(task, archive=ARCHIVE, resumes=False, sha256=None, explain=explain)
    arrived = fetching.fetch_with_retries(order, scratch=scratch, use=publish, limits=limits, environ=environ)
    return Fetched(
        what=f"{project} as {format}",
        version=str(version),
        sha256=arrived.digests.sha256,
        archive_bytes=arrived.digests.num_bytes,
        served_hash=arrived.done.hashes,
        client=arrived.done.result["client"],
        volatile=VOLATILE,
    )


def service_info(*, project: str, version: int, limits: Limits, environ: Mapping[str, str]) -> ServiceInfo:
    """What Roboflow has under "workspace/project", without downloading it. Raises SourceError."""
    answer = _ask(project, limits, environ)
    num_images = answer["num_images"].get(str(version))
    size = "size not stated" if num_images is None else f"{num_images:,} images"
    return ServiceInfo(tuple(answer["versions"]), size, licence="")


def page(project: str) -> str:
    """Where a person looks at a project and its versions."""
    return f"https://universe.roboflow.com/{project}"


def _ask(project: str, limits: Limits, environ: Mapping[str, str]) -> Mapping[str, Any]:
    who = credentials.roboflow(environ)
    task = _task(who, {"do": "ask", "project": project})
    return fetching.ask(task, explain=lambda failure: _explained(failure, project), limits=limits, environ=environ)


def _task(who: Credentials, job: Mapping[str, object]) -> ClientCall:
    return ClientCall(roboflow_client.__name__, job, who.environ, who.secrets, title=f"roboflow {job['project']}")


def _explained(failure: Failure, project: str) -> str:
    if failure.is_archive:
        return ""
    if failure.kind == "credentials" or failure.status == 401:
        return f"Roboflow does not accept ROBOFLOW_API_KEY: set it to the private key of {ROBOFLOW_PAGE}"
    return {
        403: f"the key of ROBOFLOW_API_KEY may not read this project: check the name at {page(project)}, "
        "or use a key of its workspace",
        404: f"check the name at {page(project)}, and that the key's workspace may read it",
    }.get(failure.status, "")


def _offers_told(
    failure: Failure, project: str, version: int, format: str, limits: Limits, environ: Mapping[str, str]
) -> str:
    """Which versions and formats there are, where one that is not was asked for."""
    try:
        known = _ask(project, limits, environ)
    except SourceError:
        return _explained(failure, project)
    if version not in known["versions"]:
        found = ", ".join(map(str, known["versions"])) or "none"
        return f"version {version} is not among those of {page(project)}: {found}; correct the version"
    formats = ", ".join(known["formats"][str(version)]) or "none"
    return (
        f"version {version} is there; format {format!r} may be wrong (exported so far: {formats}); correct the format"
    )


def _require_images(folder: Path) -> None:
    names = [path.name for path in files.list_files(folder)]
    if ARCHIVE in names:
        raise SourceError(f"the export holds a {ARCHIVE}: it was packed over an unfinished download; export it again")
    known = Image.registered_extensions()
    if not any(Path(name).suffix.lower() in known for name in names):
        shown = ", ".join(names[:5])
        raise SourceError(f"the export holds no images ({len(names)} files: {shown}); check the version and its format")


def _require_digest(folder: Path, expected: str | None) -> None:
    found = files.dir_sha256(folder, without=VOLATILE)
    if expected not in (None, found):
        raise SourceError(
            f"the files have tree_sha256 {found}, but {expected} is expected; other files are served now: "
            "look at the version's page, then correct tree_sha256 if the change is meant"
        )
