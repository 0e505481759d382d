"""A dataset of kaggle.com, through its official client: the only module that knows Kaggle's ways."""

from collections.abc import Mapping
from pathlib import Path

from tandem import files
from tandem.errors import SourceError
from tandem.sources import credentials
from tandem.sources.credentials import KAGGLE_PAGE, Credentials
from tandem.sources.receipts import Fetched
from tandem.sources.transfer import fetch as fetching
from tandem.sources.transfer import kaggle_client
from tandem.sources.transfer.attempt import ClientCall, Limits
from tandem.sources.transfer.failures import Failure, is_transient
from tandem.sources.transfer.fetch import Request, ServiceInfo
from tandem.sources.unpack import unpack


def fetch(
    target: Path,
    *,
    dataset: str,
    version: int,
    sha256: str | None = None,
    scratch: Path,
    limits: Limits,
    environ: Mapping[str, str],
) -> Fetched:
    """Write the files of version `version` of "owner/slug" to the folder `target`, replaced only when all went well.

    sha256: expected of the archive, None to take any. scratch: folder for what is under way; a part that can be gone
    on with stays there. environ: where credentials are looked for. Raises SourceError.
    """
    who = credentials.kaggle(environ)

    def explain(failure: Failure) -> str:
        if failure.status == 404 and not failure.is_archive:
            return _versions_told(dataset, version, limits, environ)
        return _explained(failure, who, dataset)

    def publish(archive: Path) -> None:
        with files.atomic_dir(target) as folder:
            unpack(archive, folder)

    task = _task(who, {"do": "download", "dataset": dataset, "version": version})
    archive = f"{dataset.split('/')[1]}.zip"  # the client's name for any version
    order = Request(task, archive=archive, resumes=True, sha256=sha256, explain=explain)
    arrived = fetching.fetch_with_retries(order, scratch=scratch, use=publish, limits=limits, environ=environ)
    return Fetched(
        what=dataset,
        version=str(version),
        sha256=arrived.digests.sha256,
        archive_bytes=arrived.digests.num_bytes,
        served_hash=arrived.done.hashes,
        client=arrived.done.result["client"],
        licence=_licence(dataset, limits, environ),
    )


def service_info(*, dataset: str, limits: Limits, environ: Mapping[str, str]) -> ServiceInfo:
    """What Kaggle has under "owner/slug", without downloading it. Raises SourceError."""
    who = credentials.kaggle(environ)
    task = _task(who, {"do": "ask", "dataset": dataset})
    answer = fetching.ask(
        task, explain=lambda failure: _explained(failure, who, dataset), limits=limits, environ=environ
    )
    num_bytes = answer["num_bytes"]
    size = f"{num_bytes / 1e6:,.1f} MB" if num_bytes else "size not stated"
    return ServiceInfo(tuple(answer["versions"]), size, answer["licence"])


def page(dataset: str) -> str:
    """Where a person looks at a dataset, its versions and its terms."""
    return f"https://www.kaggle.com/datasets/{dataset}"


def _task(who: Credentials, job: Mapping[str, object]) -> ClientCall:
    return ClientCall(kaggle_client.__name__, job, who.environ, who.secrets, title=f"kaggle {job['dataset']}")


def _explained(failure: Failure, who: Credentials, dataset: str) -> str:
    if failure.is_archive:
        return ""
    is_login = "IntrospectToken" in failure.place and failure.kind == "answer" and not is_transient(failure)
    if failure.kind == "credentials" or failure.status == 401 or is_login:
        return _refused(who)
    return {
        403: f"open {page(dataset)} while logged in as the owner of {who.origin}, accept its terms if it has any, "
        "and check the name",
        404: f"check the name and that the dataset is public or shared with you: {page(dataset)}",
    }.get(failure.status, "")


def _refused(who: Credentials) -> str:
    unused = (
        f"{who.beside} would do, but a token goes first: remove {who.origin} to use them, or " if who.beside else ""
    )
    return f"Kaggle does not accept {who.origin}: {unused}create new ones at {KAGGLE_PAGE}"


def _versions_told(dataset: str, version: int, limits: Limits, environ: Mapping[str, str]) -> str:
    try:
        known = service_info(dataset=dataset, limits=limits, environ=environ).versions
    except SourceError:
        return f"check the name and that the dataset is public or shared with you: {page(dataset)}"
    if version in known:
        return f"version {version} is listed at {page(dataset)}, but not given out; run it again later"
    found = ", ".join(map(str, known)) or "none"
    return f"version {version} is not among those of {page(dataset)}: {found}; correct the version"


def _licence(dataset: str, limits: Limits, environ: Mapping[str, str]) -> str:
    """As the service states it now; the archive is here already, so no failure to tell it is worth an error."""
    try:
        return service_info(dataset=dataset, limits=limits, environ=environ).licence
    except SourceError:
        return ""
