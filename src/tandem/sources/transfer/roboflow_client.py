"""Runs Roboflow's client in a child process for sources.roboflow, as the module of `python -m`."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from tandem.sources.transfer import client

# Importing roboflow reads its settings from the environment and from files, so only the child may do it.


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Download a version of job["project"] to job["folder"]; or return what Roboflow knows of the project."""
    from roboflow import Roboflow
    from roboflow.adapters import rfapi

    roboflow = Roboflow()
    project = roboflow.project(job["project"])
    if job["do"] == "describe":
        return _describe(rfapi.get_project(roboflow.api_key, *job["project"].split("/")))
    # The client would unpack without a guard and then write this machine's paths into data.yaml.
    client.stop_after_archive({"client": f"roboflow {version('roboflow')}"})
    _version(project, job["version"]).download(job["format"], location=job["folder"], overwrite=False)
    return client.fail("client", detail="it downloaded nothing")


def _version(project: Any, number: int) -> Any:
    try:
        return project.version(number)
    except RuntimeError as error:  # all that the client raises for a version that the service does not list
        return client.fail("http_error", status=404, endpoint=f"project {project.id}", detail=str(error))


def _describe(found: dict[str, Any]) -> dict[str, Any]:
    by_number = {int(Path(each["id"]).name): each for each in found["versions"]}
    return {
        "licence": str(found["project"].get("license") or ""),  # the client's class of a project leaves it out
        "versions": sorted(by_number),
        "num_images": {str(number): each["images"] for number, each in by_number.items()},
        "formats": {str(number): each.get("exports", []) for number, each in by_number.items()},
    }


if __name__ == "__main__":
    client.serve(work)
