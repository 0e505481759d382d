"""`runtime` in params.yaml: what changes no result, so that no stage reruns when it changes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from tandem.types import BatchSize, ClusterAddress, LoggerName, Section, Url


@dataclass(frozen=True)
class RuntimeSettings(Section):
    """workers: threads or processes. batch_size: of a forward pass. logger: where training curves go as they grow.

    feature_cache_gb: of what is kept in the user's cache folder, features and what curation found of pairs of images,
    of all projects together; 0 keeps none. cluster: of Ray, on which ingest, extract, curate and finetune compute: its
    address, or "auto" for the one that Ray finds or starts; None is this machine alone. shards: address of a copy of
    data/ingest, which extract reads in its place.
    """

    workers: Annotated[int, Ge(1), Le(1024)]
    batch_size: BatchSize
    device: Literal["auto", "cpu", "cuda", "mps"]
    logger: LoggerName
    feature_cache_gb: Annotated[float, Ge(0), Le(1_000_000)]
    cluster: ClusterAddress | None
    shards: Url | None
