"""Find what is wrong in params.yaml before any work starts; provide the database that curate needs;
remove outputs of earlier parameters.

Reads params.yaml and what it names, stages, src; writes data/check/code/<stage>.txt, the digests of
the files that a stage runs. Each stage depends on its own list, and so reruns when its code changes
and not when this stage ran. Outputs of sources and backbones that are no longer named are removed,
since stages that read a whole folder would read them. They stay in DVC's cache, and come back when
named again.
"""

from pathlib import Path

from _start import run, warn
from tandem.files import remove_others
from tandem.pipeline.code.listings import write_listings
from tandem.pipeline.preflight import check_project
from tandem.review import mongod


def main() -> str:
    params, warnings = check_project()
    warn(warnings)
    mongod.main()
    remove_others(Path("data/download/files"), params["sources"])
    remove_others(Path("data/download/receipts"), params["sources"])
    remove_others(Path("data/download/partial"), params["sources"])
    remove_others(Path("data/ingest"), params["sources"])
    remove_others(Path("data/extract"), params["backbones"])
    remove_others(Path("data/finetune"), params["backbones"])
    remove_others(Path("metrics/finetune"), params["backbones"])
    remove_others(Path("data/convert"), params["backbones"])
    remove_others(Path("data/train"), params["backbones"])
    remove_others(Path("metrics/train"), params["backbones"])
    write_listings(Path("stages"), Path("data/check/code"), root=Path())
    return f"sources {', '.join(params['sources'])}; backbones {', '.join(params['backbones'])}"


if __name__ == "__main__":
    run(main)
