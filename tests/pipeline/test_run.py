"""How a stage ends: a child process, its exit code and what it prints."""

import errno
import os
import re
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tandem.pipeline.run import said_of
from tandem.errors import DamagedFileError

STAGES = sorted((Path(__file__).parents[2] / "stages").glob("[!_]*.py"))
INSTALL = "`make -B setup` installs the project's packages anew, and `source .venv/bin/activate` uses them"
START = "from tandem.pipeline.run import run\nfrom tandem.errors import DataError\nimport errno\n"


def end_of(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if key != "TANDEM_TRACEBACK"}
    return subprocess.run(
        [sys.executable, "-c", START + code], env=plain | environment, capture_output=True, text=True, timeout=60
    )


BAD_DATA = "def main():\n    raise DataError('image 7 has no class; give it one')\nrun(main)\n"


def test_a_stage_that_ends_well_says_in_one_line_what_it_did_and_how_long_it_took(tmp_path) -> None:
    script = tmp_path / "train.py"
    script.write_text(f"{START}def main(name):\n    print(name)\n    return '3 epochs'\nrun(main, 'vgg11')\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "vgg11\n")
    assert re.fullmatch(r"train@vgg11: 3 epochs, \d+\.\d s\n", ended.stderr)


@pytest.mark.parametrize(("variables", "last"), [({"DVC_STAGE": "train"}, "closed\n"), ({}, "closed\ntaken apart\n")])
def test_a_stage_of_dvc_closes_what_is_open_and_is_not_taken_apart(variables: dict[str, str], last: str) -> None:
    code = (
        "import atexit, os, sys\n"
        "class Module:\n    def __del__(self):\n        os.write(1, b'taken apart\\n')\n"
        "sys.modules['large'] = Module()\n"
        "atexit.register(lambda: print('closed'))\n"
        "run(lambda: print('done'))\n"
    )
    ended = end_of(code, **variables)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"done\n{last}", "")


def test_a_stage_of_dvc_that_fails_has_its_own_exit_code() -> None:
    ended = end_of(BAD_DATA, DVC_STAGE="train")
    assert (ended.returncode, ended.stderr) == (1, "error: image 7 has no class; give it one\n")
    assert (
        end_of("def main():\n    print('much')\n    sys.exit(3)\nimport sys\nrun(main)\n", DVC_STAGE="train").returncode
        == 3
    )


def test_a_command_that_says_nothing_itself_ends_in_silence() -> None:
    ended = end_of("def main(name, number):\n    print(name, number + 1)\nrun(main, 'a', 1)\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a 2\n", "")


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", r"{'caf\u00e9'} b\udcff \ud83d\ude97"), ("utf-8", r"{'café'} b\udcff 🚗")]
)
def test_any_name_can_be_printed_whatever_the_terminal_takes(encoding: str, printed: str) -> None:
    code = "def main():\n    print({'caf\\xe9'}, 'b\\udcff', '\\U0001f697')\nrun(main)\n"
    ended = end_of(code, PYTHONIOENCODING=f"{encoding}:strict", PYTHONUTF8="0")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{printed}\n", "")


def test_an_error_for_people_is_one_message_and_exit_code_1() -> None:
    ended = end_of(BAD_DATA)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "error: image 7 has no class; give it one\n"


def test_the_traceback_is_shown_when_asked_for() -> None:
    ended = end_of(BAD_DATA, TANDEM_TRACEBACK="1")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "DataError: image 7 has no class; give it one" in ended.stderr


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT"])
def test_a_full_disk_is_one_message(number: str) -> None:
    raised = f"raise OSError(errno.{number}, 'it is full', 'data/merge/index.csv')"
    ended = end_of(f"def main():\n    {raised}\nrun(main)\n")
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the disk is full at data/merge/index.csv (it is full); free some space and run again\n"
    )


def test_a_full_disk_that_names_no_file_is_one_message_too() -> None:
    ended = end_of("def main():\n    open('/dev/full', 'wb', buffering=0).write(b'x')\nrun(main)\n")
    assert ended.returncode == 1
    assert ended.stderr == "error: the disk is full (No space left on device); free some space and run again\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("EACCES", "there is no permission at data/a.csv (denied); change its owner or its mode, and run again"),
        ("EPERM", "there is no permission at data/a.csv (denied)"),
        ("EROFS", "the disk is read-only at data/a.csv (denied); work in a folder that can be written to"),
        ("EMFILE", "too many files are open at data/a.csv (denied); raise the limit: `ulimit -n 4096`"),
        ("ENFILE", "too many files are open at data/a.csv (denied); close other programs and run again"),
        ("EIO", "the disk fails at data/a.csv (denied); look at its health, and run again"),
        ("ENOMEM", "there is not enough memory at data/a.csv (denied); lower runtime.workers or runtime.batch_size"),
        ("ENOTDIR", "a file cannot be used at data/a.csv (denied); look at what is there, and run again"),
        ("ENAMETOOLONG", "a file cannot be used at data/a.csv (denied); look at what is there, and run again"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(number: str, words: str) -> None:
    said = said_of(OSError(getattr(errno, number), "denied", "data/a.csv"))
    assert said is not None
    assert said.startswith(words)


def test_a_place_that_cannot_be_written_to_ends_a_stage_in_one_sentence() -> None:
    ended = end_of("def main():\n    open('/proc', 'w')\nrun(main)\n")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert (
        ended.stderr == "error: a file cannot be used at /proc (Is a directory); look at what is there, and run again\n"
    )


def test_too_little_memory_is_one_sentence() -> None:
    assert said_of(MemoryError()) == (
        "there is not enough memory; lower runtime.workers or runtime.batch_size, and run again"
    )


def test_a_process_that_was_killed_is_one_sentence() -> None:
    assert said_of(BrokenProcessPool("terminated abruptly")) == (
        "a process that computes was killed, mostly for lack of memory; lower runtime.workers, and run again"
    )


def test_a_mistake_of_ours_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = end_of("def main():\n    raise KeyError('a mistake of ours')\nrun(main)\n")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "KeyError: 'a mistake of ours'" in ended.stderr


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline that ran: the stage train wrote data/train/a/head.npz."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/train/a").mkdir(parents=True)
    (tmp_path / "data/train/a/head.json").write_text("{}")
    (tmp_path / "params.yaml").write_text("backbones: {a: {weights: random}}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    foreach: ${backbones}\n    do: {outs: ['data/train/${key}/head.json']}\n"
    )
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  train@a:\n    outs: [{path: data/train/a/head.json, md5: 99914b932bd37a50b983c5e7c90ae93b}]\n"
    )
    return tmp_path


def test_a_damaged_file_is_told_with_the_command_that_writes_it_again(project: Path) -> None:
    path = project / "data/train/a/head.json"
    again = "run the stage that wrote it again: `dvc repro -f -s train@a`, and then `dvc repro`"
    assert said_of(DamagedFileError(path, "is missing")) == f"{path} is missing; {again}"
    assert said_of(FileNotFoundError(errno.ENOENT, "no", str(path))) == f"{path} is missing; {again}"
    assert said_of(FileNotFoundError(errno.ENOENT, "no", "other.csv")) == (
        "a file cannot be used at other.csv (no); look at what is there, and run again"
    )


def test_a_mistake_by_a_file_that_is_not_as_it_was_written_is_told_by_the_file(project: Path) -> None:
    assert said_of(KeyError("weight")) is None
    (project / "data/train/a/head.json").write_text("[]")
    assert said_of(KeyError("weight"), stage="train@a") is None
    assert said_of(KeyError("weight"), stage="evaluate") == (
        "data/train/a/head.json is not as the stage train@a wrote it; write it again by `dvc repro -f -s train@a`, or "
        "restore it by `dvc checkout -f data/train/a/head.json`"
    )


IMPORTING = """
import sys
from tandem.pipeline.run import run
sys.stdout.write("begun\\n"); sys.stdout.flush()
import {module}
"""


def script_with_import(folder: Path, body: str) -> Path:
    """A stage's script that imports a module of this body after tandem.pipeline.run."""
    (folder / "imported.py").write_text(body)
    (folder / "train.py").write_text(IMPORTING.format(module="imported"))
    return folder / "train.py"


def ended_by_ctrl_c(*arguments: str | Path) -> tuple[int, tuple[str, str]]:
    """Exit code, and what a Python program still says, once it has said that it began and Ctrl-C was sent."""
    plain = {key: value for key, value in os.environ.items() if key != "TANDEM_TRACEBACK"}
    with subprocess.Popen(
        [sys.executable, *arguments],
        env=plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)
        finally:
            process.kill()
    return process.returncode, said


def test_ctrl_c_while_a_stage_imports_says_how_to_go_on_and_nothing_else(tmp_path: Path) -> None:
    script = script_with_import(tmp_path, "import time\ntime.sleep(60)\n")
    ended = ended_by_ctrl_c(script)
    go_on = "interrupted; `dvc repro` goes on from here: stages that are finished are not repeated\n"
    assert ended == (130, ("", go_on))


def test_what_the_system_refuses_while_a_stage_imports_is_one_sentence(tmp_path: Path) -> None:
    script = script_with_import(tmp_path, "raise OSError(24, 'Too many open files', 'libtorch.so')\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: too many files are open at libtorch.so (Too many open files); raise the limit: `ulimit -n 4096`\n"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "import no_such.part\n",
            "no_such cannot be imported in {} (No module named 'no_such')",
        ),
        ("from json import dompz\n", "json cannot be imported in {} (cannot import name 'dompz' from 'json' "),
        (
            "raise ImportError('\\nit is broken\\nread this')\n",
            "a package cannot be imported in {} (it is broken)",
        ),
        ("import ctypes\nctypes.CDLL('libnone.so')\n", "a package cannot be imported in {} (libnone.so: "),
    ],
)
def test_a_package_that_is_missing_or_broken_is_one_sentence(tmp_path: Path, body: str, said: str) -> None:
    ended = subprocess.run([sys.executable, script_with_import(tmp_path, body)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {said.format(sys.prefix)}")
    assert ended.stderr.endswith(
        "; `make -B setup` installs the project's packages anew, and `source .venv/bin/activate` uses them\n"
    )
    assert ended.stderr.count("\n") == 1


def test_a_package_that_is_missing_is_named_while_a_stage_works_too() -> None:
    said = said_of(ModuleNotFoundError("No module named 'onnx'", name="onnx"))
    assert said is not None
    assert said.startswith(f"onnx cannot be imported in {sys.prefix} (No module named 'onnx'); `make")


def test_a_mistake_in_an_import_of_ours_is_not_swallowed(tmp_path: Path) -> None:
    script = script_with_import(tmp_path, "from tandem.errors import NoSuchError\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert said_of(ImportError("no", name="tandem.errors")) is None


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.stem)
def test_a_stage_imports_it_before_all_else_that_takes_long(stage: Path) -> None:
    imports = [line for line in stage.read_text(encoding="utf-8").splitlines() if re.match("(from|import) ", line)]
    standard = [line for line in imports if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    assert imports[len(standard)].startswith("from _start import ")


def test_ctrl_c_ends_it_in_silence_as_a_shell_would() -> None:
    ended = end_of("def main():\n    raise KeyboardInterrupt\nrun(main)\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_ctrl_c_that_a_compiled_module_reports_as_a_failed_import_is_ctrl_c() -> None:
    code = "def main():\n    raise ImportError('initialization failed') from KeyboardInterrupt()\n"
    ended = end_of(code + "run(main)\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
    ended = end_of(code + "main()\n")  # as while a script imports
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_ctrl_c_shows_where_it_was_when_asked_for() -> None:
    ended = end_of("def main():\n    raise KeyboardInterrupt\nrun(main)\n", TANDEM_TRACEBACK="1")
    assert ended.returncode != 0
    assert "KeyboardInterrupt" in ended.stderr


CLEANING_UP = """
import time
def main():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
run(main)
"""


# as dvc: a stage is run by a shell, which waits for it
DVC = "import subprocess, sys; subprocess.run(['/bin/sh', '-c', '\"$0\" \"$1\"; true', *sys.argv[1:]])"
WAITING = """
import time
def main():
    print("begun", flush=True)
    time.sleep(60)
run(main)
"""


def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(START + WAITING)
    command = [sys.executable, "-c", DVC, sys.executable, str(tmp_path / "train.py")]
    environ = {key: value for key, value in os.environ.items() if key != "TANDEM_TRACEBACK"} | {"DVC_STAGE": "train"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as dvc:
        assert dvc.stdout
        assert dvc.stderr
        assert dvc.stdout.readline() == "begun\n"
        dvc.kill()
        said = dvc.stderr.read()  # which ends with the last process that writes there
    go_on = "interrupted; `dvc repro` goes on from here: stages that are finished are not repeated\n"
    assert said == f"dvc is gone, so this stage ends\n{go_on}"


BAD_EXIF = """
import io
from PIL import Image
def main():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=b"Exif\\0\\0II*\\0\\x08\\0\\0\\0\\x05\\0")
    print(dict(Image.open(file).getexif()))
"""


def test_nothing_is_told_of_metadata_that_pillow_cannot_read() -> None:
    ended = end_of(f"{BAD_EXIF}run(main)\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "{}\n", "")
    alone = subprocess.run([sys.executable, "-c", f"{BAD_EXIF}main()"], capture_output=True, text=True, timeout=60)
    assert "UserWarning: Corrupt EXIF data" in alone.stderr


def test_a_real_ctrl_c_lets_a_stage_clean_up_and_ends_it_in_silence() -> None:
    assert ended_by_ctrl_c("-c", START + CLEANING_UP) == (130, ("cleaned up\n", ""))
