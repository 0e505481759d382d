"""The card of the selected model: Markdown under the YAML head that Hugging Face reads of a model's README.md.

Its sections are those of https://huggingface.co/docs/hub/model-cards, after "Model Cards for Model Reporting" (Mitchell
et al. 2019); its tables are the page's. The head's model-index has the scores of the exported file on test.
"""

from collections.abc import Mapping
from typing import Any

from tandem.reporting.analysis import Analysis
from tandem.reporting.cards.markdown import front_matter, license_parts, markdown_table, reproduction
from tandem.reporting.facts import RunFacts
from tandem.reporting.page.error_view import slices_table
from tandem.reporting.page.model_view import class_scores_table, models_table
from tandem.reporting.page.statements import Statements
from tandem.reporting.page.tables import count, interval, names, number
from tandem.reporting.page.unknown_view import unknown_table
from tandem.reporting.page.use_view import use_view

_METRICS = {  # score -> Hugging Face's type of metric and its name
    "top1_accuracy": ("accuracy", "Top-1 accuracy"),
    "macro_f1": ("f1", "Macro F1"),
    "log_loss": ("log_loss", "Log loss"),
}
_USE = """```
tandem predict --model {file} PATH...   # files or folders of images
```"""


def model_card(facts: RunFacts, said: Statements, analysis: Analysis) -> str:
    """All of it, as one text that ends with a newline."""
    evaluation, card, use = facts.metrics.evaluate, facts.exported.card, use_view(facts, analysis.speed)
    parts = [
        front_matter(_head(facts, said)),
        f"# {said.title}: {facts.selected}",
        _summary(facts),
        "## What it is for",
        said.intended_use,
        "## How to use it",
        _USE.format(file=facts.model_path.name),
        f"It takes an image as {card.size_px} x {card.size_px} pixels and gives the probability of each class. "
        f"{_selective(facts)}",
        *(markdown_table(table) for table in (use.size, use.speed) if table),
        "## Training data",
        f"{said.description} The dataset card says more.",
        "## Training",
        _training(facts),
        "## Scores",
        markdown_table(models_table(evaluation)),
        "The intervals are 95 % confidence intervals by a bootstrap over groups of near duplicates.",
        markdown_table(unknown_table(facts.metrics)),
        "By class:",
        markdown_table(class_scores_table(evaluation["classes"])),
        "## Where it fails",
        analysis.slices.in_words,
        *([markdown_table(slices_table(analysis.slices))] if analysis.slices.slices else []),
        "## Biases",
        said.biases,
        "## Limitations",
        said.limitations,
        said.personal_information,
        "## Licenses",
        "Which license the model has is for its makers to say. The images that it was trained on have these:",
        *license_parts(analysis.licensing),
        "## How it was made",
        *reproduction(facts),
        f"The file `{facts.model_path.name}` has sha256 `{facts.metrics.export['sha256']}`, in which the digest itself "
        "counts as zeros; `tandem predict` refuses a file that was changed.",
    ]
    return "\n\n".join(parts) + "\n"


def _head(facts: RunFacts, said: Statements) -> dict[str, object]:
    scores = facts.metrics.evaluate["exported"]
    return {
        "license": "other",
        "license_name": "not-stated",
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "onnx", "tandem", *_architectures(facts.params)],
        "metrics": [name for name, _ in _METRICS.values()],
        "model-index": [
            {
                "name": facts.selected,
                "results": [
                    {
                        "task": {"type": "image-classification", "name": "Image classification"},
                        "dataset": {"type": "custom", "name": said.title, "split": "test"},
                        "metrics": [
                            {"type": kind, "name": name, "value": scores[key]} for key, (kind, name) in _METRICS.items()
                        ],
                    }
                ],
            }
        ],
    }


def _architectures(params: Mapping[str, Any]) -> list[str]:
    return [entry.get("architecture") or name for name, entry in params["backbones"].items()]


def _summary(facts: RunFacts) -> str:
    evaluation = facts.metrics.evaluate
    scores = evaluation["selected"]
    return (
        f"A classifier of images into {len(facts.samples.class_names)} classes: "
        f"{names(facts.samples.class_names, at_most=20)}. Top-1 accuracy on {count(evaluation['images'])} test images: "
        f"{number(scores['top1_accuracy'])} (95 % interval {interval(scores['interval']['top1_accuracy'])}); macro F1 "
        f"{number(scores['macro_f1'])}, log loss {number(scores['log_loss'])}, expected calibration error "
        f"{number(scores['ece'])}."
    )


def _selective(facts: RunFacts) -> str:
    found = facts.metrics.evaluate["selective"]
    if found["selective_risk"] is None:
        return "By validation no prediction is sure enough to be taken without a person."
    return (
        f"Leave predictions of a confidence below {number(found['threshold'])} to a person: of test, "
        f"{100 * found['coverage']:.1f} % were above, and {100 * found['selective_risk']:.1f} % of these were wrong."
    )


def _training(facts: RunFacts) -> str:
    params, selected = facts.params, facts.selected
    weights = ", ".join(f"{name} ({_weights(entry)})" for name, entry in params["backbones"].items())
    layers = params["train"]["trainable_backbone_layers"]
    tuned = "frozen" if layers == 0 else f"trainable layers: {layers}"
    kind = "a head on one backbone" if selected in params["backbones"] else "an ensemble"
    return (
        f"Backbones: {weights}; {tuned}. Heads: {params['train']['head']}. The selected model, {selected}, is {kind}. "
        "It was selected on validation, and test was scored once. All parameters are those of the project."
    )


def _weights(entry: Mapping[str, Any]) -> str:
    """Of a file its name alone."""
    return f"weights {str(entry['weights']).rpartition('/')[2]}"
