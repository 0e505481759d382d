from tandem.evaluation.summary import format_results, format_spread, model_rows, results_text, run_summary


def scores(top1, low, high, **others):
    return {"top1_accuracy": top1, **others, "interval": {"top1_accuracy": {"low": low, "high": high}}}


SINGLE = scores(0.9, 0.8, 0.96, macro_f1=0.85, log_loss=0.25, ece=0.031)
MEAN = scores(0.9456, 0.8812, 1.0, macro_f1=0.94, log_loss=0.2, ece=0.02)
EVALUATION = {
    "selected": {"model": "mean", **MEAN},
    "models": {"resnet50": SINGLE, "mean": MEAN},
    "exported": scores(0.94, 0.88, 0.99, macro_f1=0.93, log_loss=0.21, ece=0.022),
    "selected_minus_best_single": {
        "single": "resnet50",
        "top1_accuracy": {"value": 0.0456, "low": -0.012, "high": 0.1, "p_value": 0.084},
    },
    "student_minus_selected": {"top1_accuracy": {"value": -0.004, "low": -0.02, "high": 0.011, "p_value": 0.6}},
    "images": 66,
}
SPREAD = {"top1_accuracy": {"mean": 0.9029, "stdev": 0.055, "low": 0.8451, "high": 0.9545}}
REPEATED = {"seeds": [3, 4, 5], "selected": SPREAD}


def test_the_table_has_a_line_a_model_in_columns_and_marks_and_compares_the_selected_one():
    assert format_results(EVALUATION).splitlines() == [
        "test: 66 images       top-1 accuracy  macro F1  log loss    ECE",
        "resnet50         0.900 (0.800-0.960)     0.850     0.250  0.031",
        "mean (selected)  0.946 (0.881-1.000)     0.940     0.200  0.020",
        "exported file    0.940 (0.880-0.990)     0.930     0.210  0.022",
        "",
        "mean minus resnet50, the best single model on validation: top-1 accuracy +0.046 (-0.012 to +0.100, p = 0.08)",
        "student minus mean: top-1 accuracy -0.004 (-0.020 to +0.011, p = 0.60)",
    ]


def test_a_selected_model_is_not_compared_with_itself():
    single = {**EVALUATION, "selected": {"model": "resnet50", **SINGLE}}
    assert format_results(single).splitlines()[-2:] == [
        "selected: resnet50, the best single model on validation",
        "student minus resnet50: top-1 accuracy -0.004 (-0.020 to +0.011, p = 0.60)",
    ]
    student = {**EVALUATION, "selected": {"model": "student", **MEAN}}
    assert "student minus student" not in format_results(student)


def test_the_spread_over_splits_is_a_line_and_nothing_without_any():
    line = "selected on each of 3 splits: top-1 accuracy 0.903 on average (0.845-0.955)"
    assert format_spread(REPEATED) == line
    assert results_text(EVALUATION, REPEATED) == f"{format_results(EVALUATION)}\n{line}"
    assert results_text(EVALUATION, {"seeds": []}) == format_results(EVALUATION)


def test_the_summary_holds_the_scores_of_the_selected_model_and_the_counts_of_the_data():
    found = run_summary(
        EVALUATION, curation={"near_duplicate_pairs": 7, "images": 90, "used": 80}, label_errors={"label_issues": 3}
    )
    assert found == {
        "selected_model": "mean",
        "top1_accuracy": 0.9456,
        "top1_accuracy_low": 0.8812,
        "top1_accuracy_high": 1.0,
        "macro_f1": 0.94,
        "log_loss": 0.2,
        "ece": 0.02,
        "near_duplicate_pairs": 7,
        "label_issues": 3,
        "images": 90,
    }


def test_the_rows_of_the_plot_are_the_models_in_order_and_the_exported_file_with_their_intervals():
    rows = model_rows(EVALUATION)
    assert [row["model"] for row in rows] == ["resnet50", "mean (selected)", "exported file"]
    assert rows[0] == {
        "model": "resnet50",
        "top1_accuracy": 0.9,
        "low": 0.8,
        "high": 0.96,
        "macro_f1": 0.85,
        "log_loss": 0.25,
        "ece": 0.031,
    }
