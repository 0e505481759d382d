"""Download one source to files and a receipt.

Reads sources.<name>; writes data/download/files/<name> and data/download/receipts/<name>.json. The
receipt is apart from the files, so that no later stage depends on it; its own time is that of the
download. What is under way, and a part that a later run can resume, is in
data/download/partial/<name>.
"""

import sys
from pathlib import Path

from _start import run
from tandem.pipeline.params import read_params, section
from tandem.sources.download import download
from tandem.sources.settings import Source


def main(name: str) -> str:
    source = section(read_params(), f"sources.{name}", Source)
    receipt = download(name, source, folder=Path("data/download"))
    return receipt.in_words


if __name__ == "__main__":
    run(main, *sys.argv[1:])
