"""A version of a project of roboflow.com, by its official client: the only module that knows how Roboflow works."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tandem import files
from tandem.errors import SourceError
from tandem.sources.credentials import ROBOFLOW_PAGE, Credentials, roboflow_credentials
from tandem.sources.receipts import NOT_STATED, Fetched, licence_as_stated
from tandem.sources.settings import RoboflowSource
from tandem.sources.status import SourceStatus, service_status
from tandem.sources.transfer import roboflow_client
from tandem.sources.transfer.attempt import ClientCall, Limits
from tandem.sources.transfer.failures import Failure
from tandem.sources.transfer.fetch import Request, ServiceInfo, fetch_with_retries, query
from tandem.sources.unpacking.unpack import unpack

IS_REMOTE = True
ARCHIVE = "roboflow.zip"  # the client's name for any export
VOLATILE = ("README.roboflow.txt",)  # holds the minute of the export, which is made anew now and then


def fetch(
    target: Path, source: RoboflowSource, *, scratch: Path, limits: Limits, environ: Mapping[str, str]
) -> Fetched:
    """Write an export of a version of a project to the folder `target`, replaced only when all went well.

    source.tree_sha256 is expected of the files without VOLATILE. scratch: folder for what is under way. environ: where
    the key is looked for. Raises SourceError.
    """
    project, version, format = source.project, source.version, source.format

    def explain(failure: Failure) -> str:
        if failure.status in (400, 404) and not failure.is_archive:
            return _explain_not_found(failure, source, limits, environ)
        return _explain(failure, project)

    def publish(archive: Path) -> Mapping[str, int]:
        with files.atomic_dir(target) as folder:
            left_out = unpack(archive, folder)
            _require_images(folder)
            _require_digest(folder, source.tree_sha256)
        return left_out

    job = {"do": "download", "project": project, "version": version, "format": format}
    call = _call(roboflow_credentials(environ), job)
    request = Request(call, archive=ARCHIVE, can_resume=False, sha256=None, explain=explain)
    download = fetch_with_retries(request, scratch=scratch, publish=publish, limits=limits, environ=environ)
    return Fetched(
        what=f"{project} as {format}",
        version=str(version),
        sha256=download.digests.sha256,
        archive_bytes=download.digests.num_bytes,
        served_hash=download.completed.hashes,
        client=download.completed.result["client"],
        licence="" if licence_as_stated(target) != NOT_STATED else _licence(source, limits, environ),
        volatile=VOLATILE,
        left_out=download.left_out,
    )


def check(
    name: str, source: RoboflowSource, *, limits: Limits, environ: Mapping[str, str], is_online: bool
) -> SourceStatus:
    """Credentials, pin and, online, what Roboflow has; nothing is downloaded."""

    def ask_service() -> ServiceInfo:
        return service_info(source.project, source.version, limits=limits, environ=environ)

    return service_status(
        name,
        f"roboflow {source.project}",
        page=page(source.project),
        source=source,
        find_credentials=lambda: roboflow_credentials(environ),
        ask_service=ask_service if is_online else None,
    )


def service_info(project: str, version: int, *, limits: Limits, environ: Mapping[str, str]) -> ServiceInfo:
    """What Roboflow has under "workspace/project", without downloading it. Raises SourceError."""
    answer = _query(project, limits, environ)
    num_images = answer["num_images"].get(str(version))
    size = "size not stated" if num_images is None else f"{num_images:,} images"
    return ServiceInfo(tuple(answer["versions"]), size, answer["licence"])


def page(project: str) -> str:
    """Where a person reads about a project and its versions."""
    return f"https://universe.roboflow.com/{project}"


def _query(project: str, limits: Limits, environ: Mapping[str, str]) -> Mapping[str, Any]:
    call = _call(roboflow_credentials(environ), {"do": "describe", "project": project})
    return query(call, explain=lambda failure: _explain(failure, project), limits=limits, environ=environ)


def _licence(source: RoboflowSource, limits: Limits, environ: Mapping[str, str]) -> str:
    """As the service states it now, "" where it cannot be asked: the files are here, and that is no reason to fail."""
    try:
        return service_info(source.project, source.version, limits=limits, environ=environ).licence
    except SourceError:
        return ""


def _call(credentials: Credentials, job: Mapping[str, object]) -> ClientCall:
    title = f"roboflow {job['project']}"
    return ClientCall(roboflow_client.__name__, job, credentials.environ, credentials.secrets, title)


def _explain(failure: Failure, project: str) -> str:
    """What to do about a failure of the API; "" where nothing special is known."""
    if failure.is_archive:
        return ""
    if failure.kind == "credentials" or failure.status == 401:
        return f"Roboflow does not accept ROBOFLOW_API_KEY: set it to the private key of {ROBOFLOW_PAGE}"
    return {
        403: f"the key of ROBOFLOW_API_KEY may not read this project: check the name at {page(project)}, "
        "or use a key of its workspace",
        404: f"check the name at {page(project)}, and that the key's workspace may read it",
    }.get(failure.status, "")


def _explain_not_found(failure: Failure, source: RoboflowSource, limits: Limits, environ: Mapping[str, str]) -> str:
    """Which versions and formats the project has, where another one was requested."""
    version, format = source.version, source.format
    try:
        answer = _query(source.project, limits, environ)
    except SourceError:
        return _explain(failure, source.project)
    if version not in answer["versions"]:
        versions = ", ".join(map(str, answer["versions"])) or "none"
        return f"version {version} is not among those of {page(source.project)}: {versions}; correct the version"
    formats = ", ".join(answer["formats"][str(version)]) or "none"
    return (
        f"version {version} is there; format {format!r} may be wrong (exported so far: {formats}); correct the format"
    )


def _require_images(folder: Path) -> None:
    names = [path.name for path in files.list_files(folder)]
    if ARCHIVE in names:
        raise SourceError(f"the export holds a {ARCHIVE}: it was packed over an unfinished download; export it again")
    suffixes = Image.registered_extensions()
    if not any(Path(name).suffix.lower() in suffixes for name in names):
        first = ", ".join(names[:5])
        raise SourceError(f"the export holds no images ({len(names)} files: {first}); check the version and its format")


def _require_digest(folder: Path, expected: str | None) -> None:
    digest = files.dir_sha256(folder, without=VOLATILE)
    if expected not in (None, digest):
        raise SourceError(
            f"the files have tree_sha256 {digest}, but {expected} is expected; other files are served now: "
            "look at the version's page, then correct tree_sha256 if the change is meant"
        )
