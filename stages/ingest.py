"""Every image of one source decoded and checked once, and stored; its labels as they stand there.

Reads data/download/files/<name>; writes data/ingest/<name>.
"""

import shutil
import sys
from pathlib import Path

from _start import run
from tandem.cluster.executor import open_executor
from tandem.datasets.earlier import load_earlier, save_record
from tandem.datasets.examples import count_labels, require_few_bad
from tandem.datasets.ingest import ingest, read_source
from tandem.datasets.ingested import ingested_in_words, save_ingested
from tandem.datasets.labels import label_map
from tandem.datasets.settings import IngestSettings, LabelSettings, MergeSettings
from tandem.files import atomic_dir
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.shards import unpack_shards
from tandem.sources.settings import Source


def main(name: str) -> str:
    params = read_params()
    source = section(params, f"sources.{name}", Source)
    files = Path(".tandem/ingest") / name  # stay after an error, which names them
    shutil.rmtree(files, ignore_errors=True)
    unpack_shards(Path("data/download/files") / name, files)
    annotations = read_source(source, files=files)
    # no label changes what is written here; but a merge that cannot be is known before the work
    labels = label_map(section(params, "labels", LabelSettings))
    labels.require_all(count_labels({name: annotations.annotations}))
    max_fraction = section(params, "merge", MergeSettings).max_corrupt_fraction
    require_few_bad({name: annotations.annotations}, max_fraction=max_fraction)

    settings = section(params, "ingest", IngestSettings)
    output, record = Path("data/ingest") / name, Path(f".tandem/ingested/{name}.json")
    code = Path("data/check/code/ingest.txt")
    earlier = load_earlier(output, record, settings, code=code)  # which is not removed: persist
    runtime = section(params, "runtime", RuntimeSettings)
    with open_executor(runtime.cluster) as executor, atomic_dir(output) as folder:
        ingested = ingest(
            name,
            annotations,
            settings,
            folder=folder,
            workers=runtime.workers,
            earlier=earlier,
            executor=executor,
        )
        save_ingested(ingested, folder)
    save_record(output, record, settings, code=code)
    shutil.rmtree(files)
    return ingested_in_words(ingested)


if __name__ == "__main__":
    run(main, *sys.argv[1:])
