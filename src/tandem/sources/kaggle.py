"""A dataset of kaggle.com, by its official client: the only module that knows how Kaggle works."""

from collections.abc import Mapping
from pathlib import Path

from tandem import files
from tandem.errors import SourceError
from tandem.sources.credentials import KAGGLE_PAGE, Credentials, kaggle_credentials
from tandem.sources.receipts import Fetched
from tandem.sources.settings import KaggleSource
from tandem.sources.status import SourceStatus, service_status
from tandem.sources.transfer import kaggle_client
from tandem.sources.transfer.attempt import ClientCall, Limits
from tandem.sources.transfer.failures import Failure, is_transient
from tandem.sources.transfer.fetch import Request, ServiceInfo, fetch_with_retries, query
from tandem.sources.unpacking.unpack import unpack

IS_REMOTE = True


def fetch(target: Path, source: KaggleSource, *, scratch: Path, limits: Limits, environ: Mapping[str, str]) -> Fetched:
    """Write the files of a version of a dataset to the folder `target`, replaced only when all went well.

    scratch: folder for what is under way; a part of the archive that can be resumed stays there. environ: where
    credentials are looked for. Raises SourceError.
    """
    dataset, version = source.dataset, source.version
    credentials = kaggle_credentials(environ)

    def explain(failure: Failure) -> str:
        if failure.status == 404 and not failure.is_archive:
            return _explain_not_found(dataset, version, limits, environ)
        return _explain(failure, credentials, dataset)

    def publish(archive: Path) -> Mapping[str, int]:
        with files.atomic_dir(target) as folder:
            return unpack(archive, folder)

    call = _call(credentials, {"do": "download", "dataset": dataset, "version": version})
    archive = f"{dataset.split('/')[1]}.zip"  # the client's name for any version
    request = Request(call, archive=archive, can_resume=True, sha256=source.sha256, explain=explain)
    download = fetch_with_retries(request, scratch=scratch, publish=publish, limits=limits, environ=environ)
    return Fetched(
        what=dataset,
        version=str(version),
        sha256=download.digests.sha256,
        archive_bytes=download.digests.num_bytes,
        served_hash=download.completed.hashes,
        client=download.completed.result["client"],
        licence=_licence(dataset, limits, environ),
        left_out=download.left_out,
    )


def check(
    name: str, source: KaggleSource, *, limits: Limits, environ: Mapping[str, str], is_online: bool
) -> SourceStatus:
    """Credentials, pin and, online, what Kaggle has; nothing is downloaded."""

    def ask_service() -> ServiceInfo:
        return service_info(source.dataset, limits=limits, environ=environ)

    return service_status(
        name,
        f"kaggle {source.dataset}",
        page=page(source.dataset),
        source=source,
        find_credentials=lambda: kaggle_credentials(environ),
        ask_service=ask_service if is_online else None,
    )


def service_info(dataset: str, *, limits: Limits, environ: Mapping[str, str]) -> ServiceInfo:
    """What Kaggle has under "owner/slug", without downloading it. Raises SourceError."""
    credentials = kaggle_credentials(environ)
    call = _call(credentials, {"do": "describe", "dataset": dataset})
    answer = query(
        call, explain=lambda failure: _explain(failure, credentials, dataset), limits=limits, environ=environ
    )
    num_bytes = answer["num_bytes"]
    size = f"{num_bytes / 1e6:,.1f} MB" if num_bytes else "size not stated"
    return ServiceInfo(tuple(answer["versions"]), size, answer["licence"])


def page(dataset: str) -> str:
    """Where a person reads about a dataset, its versions and its terms."""
    return f"https://www.kaggle.com/datasets/{dataset}"


def _call(credentials: Credentials, job: Mapping[str, object]) -> ClientCall:
    title = f"kaggle {job['dataset']}"
    return ClientCall(kaggle_client.__name__, job, credentials.environ, credentials.secrets, title)


def _explain(failure: Failure, credentials: Credentials, dataset: str) -> str:
    """What to do about a failure of the API; "" where nothing special is known."""
    if failure.is_archive:
        return ""
    is_login = "IntrospectToken" in failure.endpoint and failure.kind == "http_error" and not is_transient(failure)
    if failure.kind == "credentials" or failure.status == 401 or is_login:
        return _explain_login(credentials)
    return {
        403: f"open {page(dataset)} while logged in as the owner of {credentials.origin}, accept its terms if it has "
        "any, and check the name",
        404: f"check the name and that the dataset is public or shared with you: {page(dataset)}",
    }.get(failure.status, "")


def _explain_login(credentials: Credentials) -> str:
    unused = (
        f"{credentials.unused} would do, but a token goes first: remove {credentials.origin} to use them, or "
        if credentials.unused
        else ""
    )
    return f"Kaggle does not accept {credentials.origin}: {unused}create new ones at {KAGGLE_PAGE}"


def _explain_not_found(dataset: str, version: int, limits: Limits, environ: Mapping[str, str]) -> str:
    try:
        versions = service_info(dataset, limits=limits, environ=environ).versions
    except SourceError:
        return f"check the name and that the dataset is public or shared with you: {page(dataset)}"
    if version in versions:
        return f"version {version} is listed at {page(dataset)}, but not given out; run it again later"
    listed = ", ".join(map(str, versions)) or "none"
    return f"version {version} is not among those of {page(dataset)}: {listed}; correct the version"


def _licence(dataset: str, limits: Limits, environ: Mapping[str, str]) -> str:
    """As the service states it now, "" where it cannot be asked: the archive is here, and that is no reason to fail."""
    try:
        return service_info(dataset, limits=limits, environ=environ).licence
    except SourceError:
        return ""
