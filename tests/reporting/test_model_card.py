"""The model card: its head is Hugging Face's, its numbers are the metrics' and the page's."""

from dataclasses import replace

from planted_cards import card_facts
from planted_run import planted_analysis
from tandem.files import parse_yaml
from tandem.reporting.cards.markdown import markdown_table
from tandem.reporting.cards.model_card import model_card
from tandem.reporting.page.error_view import slices_table
from tandem.reporting.page.model_view import class_scores_table, models_table
from tandem.reporting.page.statements import statements
from tandem.reporting.page.tables import number
from tandem.reporting.slices import Slices


def card_of(facts, **changes):
    return model_card(facts, statements(facts), replace(planted_analysis(facts), **changes))


def test_the_heads_model_index_has_the_scores_of_the_exported_file(tmp_path):
    facts = card_facts(tmp_path)
    _, head, _ = card_of(facts).split("---\n", 2)
    value = parse_yaml(head)
    (model,) = value["model-index"]
    (result,) = model["results"]
    scores = facts.metrics.evaluate["exported"]
    assert model["name"] == "mean"
    assert result["task"]["type"] == value["pipeline_tag"] == "image-classification"
    assert result["dataset"] == {"type": "custom", "name": "Images of car, motorcycle and truck", "split": "test"}
    assert {each["type"]: each["value"] for each in result["metrics"]} == {
        "accuracy": scores["top1_accuracy"],
        "f1": scores["macro_f1"],
        "log_loss": scores["log_loss"],
    }
    assert value["tags"][-2:] == ["one", "resnet18"]
    assert (value["license"], value["license_name"]) == ("other", "not-stated")


def test_its_tables_are_those_of_the_page(tmp_path):
    facts = card_facts(tmp_path)
    analysis, text = planted_analysis(facts), card_of(facts)
    evaluation = facts.metrics.evaluate
    tables = [models_table(evaluation), class_scores_table(evaluation["classes"])]
    for table in tables + ([slices_table(analysis.slices)] if analysis.slices.slices else []):
        assert markdown_table(table) in text
    accuracy = evaluation["selected"]["top1_accuracy"]
    assert f"Top-1 accuracy on 12 test images: {number(accuracy)} (95 % interval " in text


def test_what_to_leave_to_a_person_is_said(tmp_path):
    facts = card_facts(tmp_path)
    selective = {"threshold": 0.75, "coverage": 0.9, "selective_risk": 0.05}
    evaluate = facts.metrics.evaluate | {"selective": selective}
    text = card_of(replace(facts, metrics=replace(facts.metrics, evaluate=evaluate)))
    assert "confidence below 0.750 to a person: of test, 90.0 % were above, and 5.0 % of these were wrong." in text
    evaluate = facts.metrics.evaluate | {"selective": {"threshold": 1.0, "coverage": 0.0, "selective_risk": None}}
    text = card_of(replace(facts, metrics=replace(facts.metrics, evaluate=evaluate)))
    assert "no prediction is sure enough to be taken without a person" in text


def test_what_it_is_made_of_is_said_without_the_users_folders(tmp_path):
    text = card_of(card_facts(tmp_path))
    assert "Backbones: one (weights one.pth), two (weights random); frozen. Heads: linear." in text
    assert "The selected model, mean, is an ensemble." in text
    assert f"The file `model.onnx` has sha256 `{'12' * 32}`" in text
    assert "/home/me" not in text


def test_the_licences_of_its_images_and_of_itself_are_told_apart(tmp_path):
    text = card_of(card_facts(tmp_path))
    assert "Which license the model has is for its makers to say." in text
    assert "**Incompatible.** web (CC-BY-NC-4.0) and exports (CC-BY-SA-4.0)" in text


def test_without_slices_it_says_why(tmp_path):
    text = card_of(card_facts(tmp_path), slices=Slices((), 0.8, 3))
    assert "## Where it fails\n\nNo slice of test has the 10 groups" in text
