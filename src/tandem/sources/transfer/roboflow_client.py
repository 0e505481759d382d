"""Runs Roboflow's client in a child process, `python -m tandem.sources.transfer.roboflow_client`; parent: sources.roboflow."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from tandem.sources.transfer import client as wire

# Importing roboflow reads its settings from the environment and from files, so only the child may do it.


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Download a version of job["project"] to job["folder"]; or tell what Roboflow knows of the project."""
    from roboflow import Roboflow

    project = Roboflow().project(job["project"])
    if job["do"] == "ask":
        return _told(project.get_version_information())
    # The client would unpack without a guard and then write this machine's paths into data.yaml.
    wire.no_further_than({"client": f"roboflow {version('roboflow')}"})
    _version(project, job["version"]).download(job["format"], location=job["folder"], overwrite=False)
    return wire.fail("client", said="it downloaded nothing")


def _version(project: Any, number: int) -> Any:
    try:
        return project.version(number)
    except RuntimeError as error:  # all that the client raises for a version that the service does not list
        return wire.fail("answer", status=404, place=f"project {project.id}", said=str(error))


def _told(listed: list[dict[str, Any]]) -> dict[str, Any]:
    known = {int(Path(each["id"]).name): each for each in listed}
    return {
        "versions": sorted(known),
        "num_images": {str(number): each["images"] for number, each in known.items()},
        "formats": {str(number): each.get("exports", []) for number, each in known.items()},
    }


if __name__ == "__main__":
    wire.serve(work)
