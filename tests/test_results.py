from tandem import results

SCORES = {
    "shipped": {"model": "mean"},
    "models": {
        "resnet50": {"top1_accuracy": 0.9, "macro_f1": 0.85, "log_loss": 0.25},
        "mean": {"top1_accuracy": 0.9456, "macro_f1": 0.94, "log_loss": 0.2},
    },
    "pictures": 66,
}


def test_the_table_has_a_line_a_model_in_columns_and_marks_the_shipped_one():
    assert results.table(SCORES).splitlines() == [
        "test: 66 pictures  top-1 accuracy  macro F1  log loss",
        "resnet50                    0.900     0.850     0.250",
        "mean (shipped)              0.946     0.940     0.200",
    ]
