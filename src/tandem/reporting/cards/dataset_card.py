"""The card of the data: Markdown under the YAML head that Hugging Face reads of a dataset's README.md.

Its sections are those of https://huggingface.co/docs/hub/datasets-cards, after "Datasheets for Datasets" (Gebru et al.
2021); its tables are the page's.
"""

from tandem.reporting.cards.croissant import IMAGES_CSV
from tandem.reporting.cards.markdown import front_matter, license_parts, markdown_table, reproduction
from tandem.reporting.facts import RunFacts
from tandem.reporting.licenses import Licensing
from tandem.reporting.page.accounting import account
from tandem.reporting.page.data_view import classes_table, fates_table, sources_table
from tandem.reporting.page.statements import Statements

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M")  # Hugging Face's categories of sizes end at these


def dataset_card(facts: RunFacts, said: Statements, licensing: Licensing) -> str:
    """All of it, as one text that ends with a newline."""
    made_by = " at ".join(filter(None, (said.creator, said.url)))
    parts = [
        front_matter(_head(facts, said, licensing)),
        f"# {said.title}",
        said.description,
        f"Made by {made_by}." if made_by else "Who made it is not stated.",
        "## What it is for",
        said.intended_use,
        "## Classes and splits",
        markdown_table(classes_table(facts)),
        "Near duplicates are never in two splits: groups of them stay together, and a run ends where a check by other "
        f"means finds a pair that does not. `{IMAGES_CSV}` says of each image its class, split, group, source, and its "
        "file in that.",
        "## Sources",
        said.collection,
        markdown_table(sources_table(facts)),
        "## Annotation",
        said.annotation,
        "## Processing",
        said.preprocessing,
        "Every file that came in, once:",
        markdown_table(fates_table(account(facts))),
        "## Licenses",
        *license_parts(licensing),
        "## Biases",
        said.biases,
        "## Limitations",
        said.limitations,
        "## Personal information",
        said.personal_information,
        "## How it was made",
        *reproduction(facts),
    ]
    return "\n\n".join(parts) + "\n"


def size_category(num_images: int) -> str:
    """Hugging Face's word for a size, such as "1K<n<10K"."""
    if num_images < 1_000:
        return f"n<{_SIZES[0]}"
    power = len(str(num_images)) - len("1000")
    return f"{_SIZES[power]}<n<{_SIZES[power + 1]}" if power + 1 < len(_SIZES) else f"n>{_SIZES[-1]}"


def _head(facts: RunFacts, said: Statements, licensing: Licensing) -> dict[str, object]:
    return {
        "pretty_name": said.title,
        "license": list(licensing.hub_ids),
        "task_categories": ["image-classification"],
        "size_categories": [size_category(facts.metrics.curate["used"])],
        "tags": ["croissant", "tandem"],
    }
