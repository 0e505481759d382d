from tandem.evaluation import summary

SCORES = {
    "selected": {"model": "mean"},
    "models": {
        "resnet50": {
            "top1_accuracy": 0.9,
            "macro_f1": 0.85,
            "log_loss": 0.25,
            "ece": 0.031,
            "interval": {"top1_accuracy": {"low": 0.8, "high": 0.96}},
        },
        "mean": {
            "top1_accuracy": 0.9456,
            "macro_f1": 0.94,
            "log_loss": 0.2,
            "ece": 0.02,
            "interval": {"top1_accuracy": {"low": 0.8812, "high": 1.0}},
        },
    },
    "selected_minus_best_single": {
        "single": "resnet50",
        "top1_accuracy": {"value": 0.0456, "low": -0.012, "high": 0.1, "p_value": 0.084},
    },
    "images": 66,
}


def test_the_table_has_a_line_a_model_in_columns_and_marks_and_compares_the_selected_one():
    assert summary.format_results(SCORES).splitlines() == [
        "test: 66 images       top-1 accuracy  macro F1  log loss    ECE",
        "resnet50           0.900 (0.800-0.960)     0.850     0.250  0.031",
        "mean (selected)     0.946 (0.881-1.000)     0.940     0.200  0.020",
        "",
        "mean minus resnet50, the best alone on validation: top-1 accuracy +0.046 (-0.012 to +0.100, p = 0.08)",
    ]


def test_the_spread_over_splits_is_a_line_and_nothing_without_any():
    told = {"top1_accuracy": {"mean": 0.9029, "stdev": 0.055, "low": 0.8451, "high": 0.9545}}
    assert summary.format_spread({"seeds": [3, 4, 5], "selected": told}) == (
        "what is selected, on 3 splits: top-1 accuracy 0.903 (0.845-0.955)"
    )
    assert summary.format_spread({"seeds": []}) == ""
