"""`runtime` in params.yaml: what changes no result, so that no stage reruns when it changes."""

from dataclasses import dataclass
from typing import Literal

from tandem.types import Count, LoggerName, Section


@dataclass(frozen=True)
class RuntimeSettings(Section):
    """workers: threads or processes. batch_size: of a forward pass. logger: where training curves go as they grow."""

    workers: Count
    batch_size: Count
    device: Literal["auto", "cpu", "cuda", "mps"]
    logger: LoggerName
