"""Runs Kaggle's client in a child process for sources.kaggle, as the module of `python -m`."""

from functools import partial
from importlib.metadata import version
from typing import Any

from tandem.sources.transfer import client

# Importing kaggle logs in over the network, so it must happen after client.serve has set the timeouts.


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Download job["dataset"], version job["version"], to job["folder"]; or return what Kaggle knows of the dataset."""
    import kaggle

    if kaggle.api.CONFIG_NAME_AUTH_METHOD not in kaggle.api.config_values:
        client.fail("credentials", detail="the client could not log in with them")
    return _download(kaggle.api, job) if job["do"] == "download" else _describe(kaggle.api, job["dataset"])


def _download(api: Any, job: dict[str, Any]) -> dict[str, Any]:
    # The parent retries: the client's own retries wait for a minute when the disk is full.
    api.download_file = partial(api.download_file, max_retries=0)
    dataset = f"{job['dataset']}/{int(job['version'])}"
    api.dataset_download_files(dataset, path=job["folder"], force=not job["resume"], quiet=True, unzip=False)
    return {"client": f"kaggle {version('kaggle')}"}


def _describe(api: Any, dataset: str) -> dict[str, Any]:
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    request = ApiGetDatasetRequest()
    request.owner_slug, request.dataset_slug = dataset.split("/")
    with api.build_kaggle_client() as service:
        found = service.datasets.dataset_api_client.get_dataset(request)
    # Kaggle counts versions from 1; where it does not list them, all up to the current one are taken to be there.
    versions = [each.version_number for each in found.versions or []] or range(1, found.current_version_number + 1)
    return {
        "versions": sorted(versions),
        "num_bytes": found.total_bytes or None,
        "licence": found.license_name or "",
    }


if __name__ == "__main__":
    client.serve(work)
