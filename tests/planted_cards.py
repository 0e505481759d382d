"""The planted run with what the cards say beside the page: parameters, decisions, digests, services."""

from dataclasses import replace

from planted_run import PARAMS, planted_facts
from tandem.sources.receipts import Receipt

CARD_PARAMS = PARAMS | {
    "backbones": {
        "one": {"weights": "/home/me/weights/one.pth"},
        "two": {"weights": "random", "architecture": "resnet18"},
    },
    "labels": {"classes": {"car": ["carro"], "motorcycle": [], "truck": []}, "ignore": ["bus"], "by_source": {}},
    "ingest": {"min_side_px": 32, "max_pixels": 100_000_000, "max_side_px": 640},
    "curate": PARAMS["curate"] | {"duplicates": "keep_one"},
    "train": {"seed": 0, "head": "linear", "trainable_backbone_layers": 0},
}
KAGGLE = Receipt(
    source="web",
    kind="kaggle",
    asked={"dataset": "owner/cars", "version": 3, "sha256": None},
    what="owner/cars",
    version="3",
    sha256="ab" * 32,
    archive_bytes=1234,
    served_hash="",
    client="kaggle 2.2.4",
    volatile=(),
    tree_sha256="cd" * 32,
    num_bytes=5000,
    num_files=34,
    licence="CC BY-NC 4.0",
    augmentation=None,
)
EXPORT = replace(
    KAGGLE,
    source="exports",
    kind="archive",
    asked={"path": "/home/me/secret/exports.zip", "sha256": None},
    what="/home/me/secret/exports.zip",
    version="",
    sha256="ef" * 32,
    archive_bytes=0,
    num_files=30,
    licence="CC BY-SA 4.0",
    augmentation=3,
)


def card_facts(folder, *, report=None, receipts=(KAGGLE, EXPORT), **changes):
    """Of planted_facts; report: what the user states."""
    facts = planted_facts(folder, **changes)
    decisions = {"relabel": 2, "drop": 1, "keep": 0, "duplicate": 0, "not_duplicate": 0, "gone": 4}
    return replace(
        facts,
        params=CARD_PARAMS | ({"report": report} if report else {}),
        receipts={each.source: each for each in receipts},
        metrics=replace(
            facts.metrics,
            curate=facts.metrics.curate | {"decisions": decisions},
            export=facts.metrics.export | {"sha256": "12" * 32},
        ),
    )
