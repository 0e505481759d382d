"""The one tree of errors that a user can meet.

PipelineError            everything below: one clear message, no traceback
+-- ParamsError          params.yaml says something that cannot be
+-- SourceError          a source cannot be had: file, digest, archive, account, network, disk
|   +-- DamagedArchive   bytes of an archive are wrong or missing; the same archive may come whole another time
+-- WeightsError         a backbone's weights cannot be had or do not fit
+-- ReviewError          FiftyOne or its database does not start
+-- DataError            the data itself is wrong
    +-- UnknownLabel     a label maps to no class and is not ignored
    +-- BrokenImage      one file is not an image that can be used
    +-- LeakySplit       copies lie on two sides of a split, or a class is missing from one

A message says what was found, where, and what to do. `PipelineError` is caught once, in
`tandem.pipeline.run`, which prints it and ends with exit code 1.
"""


class PipelineError(Exception):
    """Base of all errors whose message is meant for the user."""


class ParamsError(PipelineError):
    """A parameter is unknown, missing, of the wrong type or impossible."""


class SourceError(PipelineError):
    """A source could not be downloaded, read or unpacked."""


class CorruptArchiveError(SourceError):
    """An archive that cannot be read to its end, or is none."""


class WeightsError(PipelineError):
    """A backbone's weights are missing, unreachable or of another architecture."""


class ReviewError(PipelineError):
    """FiftyOne or its database could not be started."""


class DataError(PipelineError):
    """Files or tables hold something that they must not hold."""


class UnknownLabelError(DataError):
    """Labels of a source that map to no class."""


class CorruptImageError(DataError):
    """A file that is not a usable image; `reason` is one word for the counts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LeakageError(DataError):
    """A split that shares images with another one, or lacks a class."""
