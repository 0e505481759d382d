"""The one tree of errors that a user can meet.

PipelineError                  everything below: one clear message, no traceback
+-- ParamsError                params.yaml says something that cannot be
+-- SourceError                a source cannot be downloaded, read or unpacked: file, digest, account, network, disk
|   +-- CorruptArchiveError    bytes of an archive are wrong or missing; another download of it may be whole
+-- WeightsError               a backbone's weights cannot be loaded or do not fit
+-- VersionError               the tandem that is installed is not the one that the project's results are of
+-- ReviewError                FiftyOne or its database does not start
+-- ClusterError               a Ray cluster cannot be reached, or does not do what it is asked for
|   +-- PeerLostError          another process of one training ended
+-- DataError                  the data itself is wrong
    +-- UnknownLabelError      a label maps to no class and is not ignored
    +-- CorruptImageError      one file is not an image that can be used
    +-- LeakageError           near duplicates are in two splits, or a class is missing from one
    +-- DamagedFileError       a file that a stage wrote is missing or cannot be used

A message says what was found, where, and what to do. `PipelineError` is caught once, in
`tandem.pipeline.run`, which prints it and ends with exit code 1.
"""

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class PipelineError(Exception):
    """Base of all errors whose message is meant for the user."""


class ParamsError(PipelineError):
    """A parameter is unknown, missing, of the wrong type or impossible."""


class SourceError(PipelineError):
    """A source cannot be downloaded, read or unpacked."""


class CorruptArchiveError(SourceError):
    """An archive that cannot be read to its end, or a file that is not an archive."""


class WeightsError(PipelineError):
    """A backbone's weights are missing, unreachable or of another architecture."""


class VersionError(PipelineError):
    """The installed tandem is another one than that which a project pins or listed."""


class ReviewError(PipelineError):
    """FiftyOne or its database does not start."""


class ClusterError(PipelineError):
    """A cluster that cannot be used, or nodes that would not compute the same."""


class PeerLostError(ClusterError):
    """Another of the processes that do one work together ended."""


class DataError(PipelineError):
    """Files or tables hold something that they must not hold."""


class UnknownLabelError(DataError):
    """Labels of a source that map to no class and are not ignored."""


class CorruptImageError(DataError):
    """A file that is not a usable image. reason: one word, for the counts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, str(self))


class LeakageError(DataError):
    """A split that shares near duplicates with another one, or lacks a class."""


class DamagedFileError(DataError):
    """A file that a stage wrote is missing, cut, of another kind, or holds what it must not. path: of the file."""

    def __init__(self, path: "Path", problem: str) -> None:
        super().__init__(f"{path} {problem}; run the stage that wrote it again")
        self.path, self._problem = path, problem

    def __reduce__(self) -> "tuple[type, tuple[Path, str]]":
        return type(self), (self.path, self._problem)


def did_you_mean(word: str, known: "Iterable[str]") -> str:
    """ "did you mean 'resnet50'? " for the closest of the known words, "" where none is close; for a message."""
    by_folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f"did you mean {by_folded[close[0]]!r}? " if close else ""
