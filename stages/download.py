"""Fetch one source. Reads sources.<name>; writes data/download/files/<name>, data/download/receipts/<name>.json.

The receipt holds the time of the download and lies apart from the files, so that no later stage depends on it.
"""

import sys
from pathlib import Path

from tandem import downloading, running
from tandem.params import read_params
from tandem.sources import receipts


def main(name: str) -> None:
    source = read_params()["sources"][name]
    receipt = downloading.download(name, source, target=Path("data/download/files") / name)
    receipts.write(Path(f"data/download/receipts/{name}.json"), receipt)


if __name__ == "__main__":
    running.run(main, *sys.argv[1:])
