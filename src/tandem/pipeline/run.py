"""How a stage script or a command ends: well, with one message on stderr and exit code 1, or silently at Ctrl-C.

A stage that ends well says in one line what it did and how long it took. Imported first of all in a script, so that
Ctrl-C and errors while the others are imported end it in the same way; Python looks for garbage less often then.
"""

import atexit
import codecs
import errno
import gc
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from tandem.errors import DamagedFileError, PipelineError
from tandem.libraries import silence_reports

_GO_ON = "interrupted; `dvc repro` goes on from here: stages that are finished are not repeated\n"
_REMEDIES = {
    errno.ENOSPC: "the disk is full{where} ({what}); free some space and run again",
    errno.EDQUOT: "the disk is full{where} ({what}); free some space and run again",
    errno.EROFS: "the disk is read-only{where} ({what}); work in a folder that can be written to",
    errno.EACCES: "there is no permission{where} ({what}); change its owner or its mode, and run again",
    errno.EPERM: "there is no permission{where} ({what}); change its owner or its mode, and run again",
    errno.EMFILE: "too many files are open{where} ({what}); raise the limit: `ulimit -n 4096`",
    errno.ENFILE: "too many files are open{where} ({what}); close other programs and run again",
    errno.EIO: "the disk fails{where} ({what}); look at its health, and run again",
    errno.ENOMEM: "there is not enough memory{where} ({what}); lower runtime.workers or runtime.batch_size",
}
_INSTALL = "`make -B setup` installs the project's packages anew, and `source .venv/bin/activate` uses them"
_INSTALL_OWN = "`pip install --force-reinstall -r requirements.txt` installs the project's packages anew"
_OTHER = "a file cannot be used{where} ({what}); look at what is there, and run again"


def run(main: Callable[..., str | None], *arguments: object) -> None:
    """Call `main(*arguments)`; an error meant for people is printed without a traceback.

    What main returns is printed on stderr, after the script's name and arguments and before the seconds that it took.
    TANDEM_TRACEBACK=1 in the environment shows the traceback of an error as well.
    """
    silence_reports()
    _escape_what_cannot_be_encoded()
    if _shows_traceback():
        return _report(main, arguments)
    try:
        _report(main, arguments)
    except KeyboardInterrupt:
        _end_interrupted()
    except Exception as error:
        if _is_interrupted(error):
            _end_interrupted()
        text = said_of(error, stage=_stage(arguments))
        if text is None:
            raise
        sys.exit(f"error: {text}")


def _escape_what_cannot_be_encoded() -> None:
    """Have stdout take any text: names that are not UTF-8, and letters that its encoding lacks, as `\\uXXXX`.

    JSON has the same escapes, so an object stays one; the surrogates of a name that is not UTF-8 lead to its file.
    """
    codecs.register_error("tandem.escapes", _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="tandem.escapes")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def said_of(error: Exception, *, stage: str = "") -> str | None:
    """An error in one message for people; None for a mistake of ours.

    stage: that it ended, if any: where a file that it read is not as it was written, that is what is said.
    """
    if isinstance(error, DamagedFileError):
        return f"{error}{_rerun(error.path)}"
    if isinstance(error, PipelineError):
        return str(error)
    if type(error).__name__ == "BrokenProcessPool":  # whose import would load multiprocessing
        return "a process that computes was killed, mostly for lack of memory; lower runtime.workers, and run again"
    if isinstance(error, ImportError):
        return _said_of_import(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory; lower runtime.workers or runtime.batch_size, and run again"
    if isinstance(error, FileNotFoundError) and error.filename and (hint := _rerun(Path(os.fsdecode(error.filename)))):
        return f"{os.fsdecode(error.filename)} is missing; run the stage that wrote it again{hint}"
    if isinstance(error, OSError) and error.errno is not None:
        where = f" at {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        return _REMEDIES.get(error.errno, _OTHER).format(where=where, what=error.strerror)
    return _said_of_changed_file(stage)


def warn(texts: Iterable[str]) -> None:
    """Print warnings on stderr, a line each."""
    sys.stderr.writelines(f"warning: {text}\n" for text in texts)


def _said_of_changed_file(stage: str) -> str | None:
    from tandem.pipeline.outputs import changed_file

    try:
        found = changed_file(stage=stage)
    except (PipelineError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    if found is None:
        return None
    path, writer = found
    return (
        f"{path} is not as the stage {writer} wrote it; write it again by `dvc repro -f -s {writer}`, or restore it by "
        f"`dvc checkout -f {path}`"
    )


def _said_of_import(error: ImportError | OSError) -> str | None:
    """Of a package that is missing, or is there in part: ctypes raises an OSError without a number for a library."""
    if isinstance(error, OSError) and error.errno is not None:
        return said_of(error)
    module = (getattr(error, "name", None) or "a package").partition(".")[0]
    if module == "tandem":
        return None
    what = str(error).strip().partition("\n")[0]
    install = _INSTALL_OWN if Path("requirements.txt").is_file() else _INSTALL  # of a project that `tandem init` made
    return f"{module} cannot be imported in {sys.prefix} ({what}); {install}"


def _rerun(path: Path) -> str:
    """By which command a file is written again; "" for one that no stage writes."""
    from tandem.pipeline.outputs import stage_that_writes

    try:
        stage = stage_that_writes(path)
    except (PipelineError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f": `dvc repro -f -s {stage}`, and then `dvc repro`" if stage else ""


def _report(main: Callable[..., str | None], arguments: tuple[object, ...]) -> None:
    start = time.monotonic()
    if stage := _stage(()):
        _require_own_code(stage)
    if "DVC_STAGE" in os.environ:
        from tandem.sources.orphan import ended_with_dvc  # which a command need not wait for

        with ended_with_dvc(os.environ):
            done = main(*arguments)
        _Ending.is_quick = True
    else:
        done = main(*arguments)
    if done:
        sys.stderr.write(f"{_name(arguments)}: {done}, {time.monotonic() - start:.1f} s\n")


class _Ending:
    """is_quick: what is in memory is left to the system; Python would take it apart, for half a second with torch."""

    is_quick = False


@atexit.register  # before all others, and so the last to be called
def _end_quickly() -> None:
    if _Ending.is_quick:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _require_own_code(stage: str) -> None:
    from tandem.pipeline.code.pinned import require_listed, require_pinned

    require_pinned()
    if stage != "check":  # which writes the lists
        require_listed(stage)


def _name(arguments: tuple[object, ...]) -> str:
    return "@".join([Path(sys.argv[0]).stem, *map(str, arguments)])


def _stage(arguments: tuple[object, ...]) -> str:
    """The name of the stage whose script runs; "" for a command."""
    return _name(arguments) if sys.argv[0].endswith(".py") else ""


def _shows_traceback() -> bool:
    return os.environ.get("TANDEM_TRACEBACK") == "1"


def _is_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error, as where a compiled module reports it as "initialization failed"."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _end_interrupted() -> None:
    if _stage(()):
        sys.stderr.write(_GO_ON)
    sys.exit(130)  # as a shell reports a program that Ctrl-C has ended


def _end_import(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends a script outside of run: while it imports what it needs."""
    if _is_interrupted(error) and not _shows_traceback():
        sys.stderr.write(_GO_ON if _stage(()) else "")
        sys.stderr.flush()
        os._exit(130)
    text = _said_of_import(error) if isinstance(error, ImportError | OSError) and not _shows_traceback() else None
    if text:
        sys.stderr.write(f"error: {text}\n")
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end_import
gc.set_threshold(10_000)  # containers, instead of 700: what is imported is no garbage; torch comes a sixth sooner
warnings.filterwarnings("ignore", module=r"PIL\.")  # of metadata, which cost no image; other damage it raises
