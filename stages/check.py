"""Find what is wrong in params.yaml before any work starts. Reads params.yaml; writes data/check/passed.json.

The file it writes is always the same, so that nothing reruns because this stage did.
"""

from pathlib import Path

from tandem import running, schema
from tandem.files import write_json
from tandem.params import read_params


def main() -> None:
    schema.check(read_params())
    write_json(Path("data/check/passed.json"), {"params.yaml": "passed"})


if __name__ == "__main__":
    running.run(main)
