"""One index of the images of all sources: labels unified, exact duplicates collapsed.

No image is opened. Reads data/ingest; writes data/merge and metrics/merge.json.
"""

from pathlib import Path

from _start import run
from tandem.datasets.ingested import load_ingested
from tandem.datasets.labels import label_map
from tandem.datasets.merge import merge, merge_summary, merged_in_words, save_merged
from tandem.datasets.settings import LabelSettings, MergeSettings
from tandem.files import atomic_dir, write_json
from tandem.pipeline.params import read_params, section


def main() -> str:
    params = read_params()
    sources = {name: load_ingested(Path("data/ingest") / name) for name in params["sources"]}
    labels = label_map(section(params, "labels", LabelSettings))

    merged = merge(sources, labels, section(params, "merge", MergeSettings))
    with atomic_dir(Path("data/merge")) as folder:
        save_merged(merged, folder)

    write_json(Path("metrics/merge.json"), merge_summary(merged))
    return merged_in_words(merged)


if __name__ == "__main__":
    run(main)
