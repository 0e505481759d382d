"""One index of the images of all sources, exact duplicates collapsed.

Reads data/download/files; writes data/merge and metrics/merge.json.
"""

from pathlib import Path

from _start import run
from tandem.datasets.labels import label_map
from tandem.datasets.merge import merge, merge_summary, merged_in_words, read_sources, save_merged
from tandem.datasets.settings import LabelSettings, MergeSettings
from tandem.files import atomic_dir, write_json
from tandem.pipeline.params import read_params, section, sections
from tandem.pipeline.settings import RuntimeSettings
from tandem.sources.settings import Source


def main() -> str:
    params = read_params()
    sources = read_sources(
        sections(params, "sources", Source), downloads=Path("data/download/files")
    )
    labels = label_map(section(params, "labels", LabelSettings))
    settings = section(params, "merge", MergeSettings)
    workers = section(params, "runtime", RuntimeSettings).workers

    with atomic_dir(Path("data/merge")) as folder:
        images_dir = folder / "images"
        merged = merge(sources, labels, settings, images_dir=images_dir, workers=workers)
        save_merged(merged, folder)

    write_json(Path("metrics/merge.json"), merge_summary(merged))
    return merged_in_words(merged)


if __name__ == "__main__":
    run(main)
