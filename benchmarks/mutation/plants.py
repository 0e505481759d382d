"""What is planted by hand, where mutmut changes nothing: constants of modules, and the scripts of the stages.

Beside them the mistakes that cost a reader most: another split, other features, groups that make no difference.
"""

from typing import NamedTuple

_CURATION, _DUPLICATES = "src/tandem/curation", "src/tandem/curation/duplicates"
_TRAINING, _EVALUATION = "src/tandem/training", "src/tandem/evaluation"


class Plant(NamedTuple):
    """was: text that stands in the file once."""

    path: str
    was: str
    becomes: str


PLANTS = tuple(
    Plant(path, was, becomes)
    for path, changes in {
        "stages/curate.py": [
            ("leaks = check_leakage(", "leaks = (lambda *_, **__: __import__('types').SimpleNamespace(disputed=()))("),
            ("curated.samples.rows_by_split()", "{'train': curated.samples.train.rows}"),
            ("linked=curated.links.rows", "linked=curated.links.rows[:0]"),
            ("rejected=curated.rejected.pairs.rows", "rejected=curated.near_duplicates.pairs.rows"),
            ("decisions=inputs.decisions,\n", "decisions=type(inputs.decisions)(),\n"),
            ("max_distance=1 - settings", "max_distance=0 * settings"),
        ],
        "stages/label_errors.py": [
            ('Path("data/extract")', 'Path("data/finetune")'),
            ("fraction=settings.fraction", "fraction=settings.fraction / 2"),
        ],
        "stages/train.py": [
            ('load_features(Path("data/finetune") / name', 'load_features(Path("data/extract") / name'),
            ("features.tta_views", "features.without_tta"),
            ("out_of_fold=out_of_fold", "out_of_fold=trained.logits"),
            ("head_summary(trained, samples)", "head_summary(trained, samples.with_splits(samples.splits[::-1]))"),
        ],
        "stages/ensemble.py": [
            ('features_dir=Path("data/finetune")', 'features_dir=Path("data/extract")'),
            (
                "select_model(settings.kind, ensembles, samples.val,",
                "select_model(settings.kind, ensembles, samples.test,",
            ),
            ("ensemble_summary(ensembles, samples.val", "ensemble_summary(ensembles, samples.test"),
            ("select_model(settings.kind", 'select_model("mean"'),
        ],
        "stages/study.py": [
            ('load_features_of(Path("data/finetune")', 'load_features_of(Path("data/extract")'),
        ],
        "stages/repeated_splits.py": [
            ('load_features_of(Path("data/extract")', 'load_features_of(Path("data/finetune")'),
            ("first_seed=curate.seed", "first_seed=0 * curate.seed"),
            ("num_splits=evaluate.num_splits", "num_splits=evaluate.num_splits + 1"),
        ],
        "stages/evaluate.py": [
            ("test, names = samples.test,", "test, names = samples.val,"),
            ('singles=list(params["backbones"])', "singles=list(logits)"),
            ('selected=ensembles["selected"],\n', "selected=next(iter(logits)),\n"),
            ('logits[ensembles["selected"]]', "logits[next(iter(logits))]"),
            (".min_sides,", ".widths,"),
        ],
        "src/tandem/tables/samples.py": [
            ('return self.split("train")', 'return self.split("val")'),
            ('return self.split("val")', 'return self.split("test")'),
            ('return self.split("test")', 'return self.split("val")'),
        ],
        "src/tandem/tables/splits.py": [('f"{seed}/{group}"', 'f"{group}"'), ("digest[:8]", "digest[8:16]")],
        f"{_CURATION}/across/exact.py": [
            ("_ROUNDING = 1e-12", "_ROUNDING = 0.0"),
            ("_MIN_SET_BITS = 96", "_MIN_SET_BITS = 97"),
            ("_MIN_SET_BITS = 96", "_MIN_SET_BITS = 95"),
            ("np.argwhere(cosines >= limits", "np.argwhere(cosines > 0.005 + limits"),
            ("in combinations(rows, 2)", "in list(combinations(rows, 2))[:2]"),
        ],
        f"{_CURATION}/leak_check.py": [
            ('_SCENES = ("video:", "image:")', '_SCENES = ("video:",)'),
            ('_SCENES = ("video:", "image:")', '_SCENES = ("image:",)'),
            ("(min(i, j), max(i, j)): reason", "(i, j): reason"),
            ("_SCENES if bursts.by_name else _CROPS", "_CROPS"),
            ("for time, row in sorted(taken) if split_of[row]", "for time, row in sorted(taken)"),
        ],
        f"{_CURATION}/disputed.py": [
            ("_NEAR_PIXELS, _NEAR_HASH = 0.9, 40", "_NEAR_PIXELS, _NEAR_HASH = 0.91, 40"),
            ("_NEAR_PIXELS, _NEAR_HASH = 0.9, 40", "_NEAR_PIXELS, _NEAR_HASH = 0.89, 40"),
            ("_NEAR_PIXELS, _NEAR_HASH = 0.9, 40", "_NEAR_PIXELS, _NEAR_HASH = 0.9, 41"),
            ("_NEAR_PIXELS, _NEAR_HASH = 0.9, 40", "_NEAR_PIXELS, _NEAR_HASH = 0.9, 39"),
            ("_COPY_PIXELS, _COPY_HASH = 0.99, 16", "_COPY_PIXELS, _COPY_HASH = 0.995, 16"),
            ("_COPY_PIXELS, _COPY_HASH = 0.99, 16", "_COPY_PIXELS, _COPY_HASH = 0.98, 16"),
            ("_COPY_PIXELS, _COPY_HASH = 0.99, 16", "_COPY_PIXELS, _COPY_HASH = 0.99, 17"),
            ("_COPY_PIXELS, _COPY_HASH = 0.99, 16", "_COPY_PIXELS, _COPY_HASH = 0.99, 15"),
            (">= _COPY_PIXELS) & (", ">= _COPY_PIXELS) | ("),
            ("_MAX_DISPUTED = 3", "_MAX_DISPUTED = 4"),
            ("_MAX_DISPUTED = 3", "_MAX_DISPUTED = 2"),
            ("_MAX_FRACTION = 0.001", "_MAX_FRACTION = 0.002"),
            ("_MAX_FRACTION = 0.001", "_MAX_FRACTION = 0.0005"),
            ("_MIN_DEVIATION = 1.0", "_MIN_DEVIATION = 1.5"),
            ("_MIN_DEVIATION = 1.0", "_MIN_DEVIATION = 0.5"),
            ("_MIN_SET_BITS = 96", "_MIN_SET_BITS = 97"),
            ("_MIN_SET_BITS = 96", "_MIN_SET_BITS = 95"),
            ("_NUM_LISTED = 3", "_NUM_LISTED = 4"),
            ("_SIDE_PX = 16", "_SIDE_PX = 15"),
        ],
        f"{_CURATION}/groups.py": [
            ("_MAX_CUTS = 500", "_MAX_CUTS = 1"),
            ("_MIN_OVERSIZED = 11", "_MIN_OVERSIZED = 12"),
            ("_MIN_OVERSIZED = 11", "_MIN_OVERSIZED = 10"),
            ("_MAX_FRACTION = 0.02", "_MAX_FRACTION = 0.03"),
            ("_MAX_FRACTION = 0.02", "_MAX_FRACTION = 0.01"),
        ],
        f"{_CURATION}/label_errors/ridge.py": [
            ("if len(rows) > 1]", "if len(rows) > 10**6]"),
            ("int(np.argmin(errors))", "int(np.argmax(errors))"),
        ],
        f"{_CURATION}/label_errors/neighbors.py": [
            ("cosines[groups[block, None] == groups[None]] = -np.inf", "pass"),
            ("- offsets[block, None] - offsets[None]", ""),
        ],
        f"{_CURATION}/label_errors/noise.py": [
            ("prior_count * even_noise", "0 * even_noise"),
            ("(1 - weight) * by_probe + weight * by_neighbors", "by_probe"),
        ],
        f"{_CURATION}/label_errors/scores.py": [
            ("if settings.refit > 0", "if settings.refit > 1"),
            ("fraction_lower(-found.own_class, targets)", "fraction_lower(found.own_class, targets)"),
        ],
        f"{_CURATION}/curate.py": [
            ("scored.correlation >= settings.min_correlation", "scored.correlation > settings.min_correlation"),
        ],
        f"{_CURATION}/probe.py": [("_C = 1e-2", "_C = 1e2")],
        f"{_CURATION}/settings.py": [
            (
                "SimilarityThresholds(self.min_similarity, self.max_hash_distance)",
                "SimilarityThresholds(self.min_similarity, 0)",
            ),
            ("abs(total - 1) > 1e-9", "total - 1 > 1e-9"),
            ("abs(total - 1) > 1e-9", "abs(total - 1) > 1e-2"),
        ],
        "src/tandem/images/hashing.py": [
            ("_MIN_SET_BITS = 96", "_MIN_SET_BITS = 97"),
            ("_MIN_SET_BITS = 96", "_MIN_SET_BITS = 95"),
        ],
        f"{_DUPLICATES}/candidates.py": [("_NUM_HASH_NEIGHBORS = 2", "_NUM_HASH_NEIGHBORS = 1")],
        f"{_DUPLICATES}/verify.py": [
            ("_MIN_SAVED = 0.5", "_MIN_SAVED = 0.6"),
            ("_MIN_SAVED = 0.5", "_MIN_SAVED = 0.4"),
        ],
        f"{_DUPLICATES}/threshold.py": [
            ("np.arange(0.85, 0.9855, 0.001)", "np.arange(0.86, 0.9855, 0.001)"),
            ("np.arange(0.85, 0.9855, 0.001)", "np.arange(0.85, 0.9755, 0.001)"),
            ("_MARGIN = 0.015", "_MARGIN = 0.02"),
            ("_MARGIN = 0.015", "_MARGIN = 0.01"),
            ("_NUM_LISTED = 5", "_NUM_LISTED = 4"),
        ],
        f"{_DUPLICATES}/alignment.py": [
            ("_MIN_OVERLAP = 0.25", "_MIN_OVERLAP = 0.5"),
            ("_UNCLIPPED = (4, 250)", "_UNCLIPPED = (0, 255)"),
            ("_MIN_UNCLIPPED = 0.3", "_MIN_UNCLIPPED = 0.0"),
            ("_MIN_DEVIATION = 1.0", "_MIN_DEVIATION = 3.0"),
            ("_MIN_DEVIATION = 1.0", "_MIN_DEVIATION = 0.3"),
            ("_MIN_MATCHES = 6", "_MIN_MATCHES = 12"),
            ("_AREA_SCALES = (0.1, 10.0)", "_AREA_SCALES = (0.0, 1e9)"),
        ],
        f"{_DUPLICATES}/by_features/search.py": [("_ROUNDING = 1e-5", "_ROUNDING = 0.0")],
        f"{_TRAINING}/averaging.py": [
            ("_NUM_BAGS = 20", "_NUM_BAGS = 19"),
            ("NUM_STANDARD_ERRORS = 2", "NUM_STANDARD_ERRORS = 3"),
            ("NUM_STANDARD_ERRORS = 2", "NUM_STANDARD_ERRORS = 1"),
            ("_BAG_FRACTION = 0.5", "_BAG_FRACTION = 0.6"),
            ("_ROUNDS = 25", "_ROUNDS = 2"),
            ("group_of = np.unique(groups, return_inverse=True)[1]", "group_of = np.arange(len(groups))"),
        ],
        f"{_TRAINING}/heads.py": [
            (
                "fit_temperature(logits[val.rows], val.targets)",
                "fit_temperature(logits[task.train.rows], task.train.targets)",
            ),
            ("train_folds(task).repeat(task.num_views)", "np.tile(train_folds(task), task.num_views)"),
            ("train.targets, train.groups, num_folds", "train.targets, np.arange(len(train)), num_folds"),
            ("seed=settings.seed)", "seed=0)"),
        ],
        f"{_TRAINING}/out_of_fold.py": [
            ("others = task.train.subset(fold_of != fold)", "others = task.train"),
            ('(out_of_fold / trained.choices["temperature"])', "(out_of_fold)"),
        ],
        f"{_TRAINING}/ensembles.py": [
            ("_NUM_FOLDS = 5", "_NUM_FOLDS = 4"),
            ("logits[rows] = _side_by_side(inputs.out_of_fold)[rows]", "pass"),
            ("val.targets, val.groups, num_folds", "val.targets, np.arange(len(val)), num_folds"),
            ("logits_of(fitted), val.subset(fitted)", "logits_of(fitted), val"),
            ("seed=inputs.train.seed)", "seed=0)"),
            ("temperature = fit_temperature(mean[val.rows], val.targets)", "temperature = 1.0"),
        ],
        f"{_TRAINING}/task.py": [
            ("return self.features.shape[1] if", "return 1 if"),
            ("split.targets.repeat(self.num_views)", "np.tile(split.targets, self.num_views)"),
        ],
        f"{_TRAINING}/networks.py": [("_HIDDEN = 256", "_HIDDEN = 128")],
        f"{_TRAINING}/fitting/early_stopping.py": [
            ("0.9, 0.999, 1e-8", "0.8, 0.999, 1e-8"),
            ("0.9, 0.999, 1e-8", "0.9, 0.99, 1e-8"),
            ("0.9, 0.999, 1e-8", "0.9, 0.999, 1e-4"),
            ("_AVERAGE_POWER = 3", "_AVERAGE_POWER = 2"),
            ("NUM_STANDARD_ERRORS * standard_error", "standard_error"),
            ("_PLATEAU_FACTOR = 0.2", "_PLATEAU_FACTOR = 0.5"),
            ("_PLATEAU_PATIENCE = 10", "_PLATEAU_PATIENCE = 11"),
            ("_PLATEAU_PATIENCE = 10", "_PLATEAU_PATIENCE = 9"),
            ("_MIN_DECREASE = 1e-4", "_MIN_DECREASE = 1e-2"),
            ("_MIN_DECREASE = 1e-4", "_MIN_DECREASE = 0.0"),
        ],
        f"{_TRAINING}/fitting/logistic.py": [
            ("np.arange(-4, 0.5, 0.5)", "np.arange(-3, 0.5, 0.5)"),
            ("np.arange(-4, 0.5, 0.5)", "np.arange(-4, 0.0, 0.5)"),
            ("_NUM_WORSE = 2", "_NUM_WORSE = 1"),
            ("_NUM_WORSE = 2", "_NUM_WORSE = 3"),
            ('"gtol": 1e-4', '"gtol": 1e-1'),
            ("tried[best]", "tried[-1]"),
        ],
        f"{_EVALUATION}/bootstrap.py": [
            ("_LEVEL = 0.95", "_LEVEL = 0.9"),
            (
                "names, group_of = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)",
                "names = group_of = np.arange(len(groups))",
            ),
            ("np.random.default_rng(seed)", "np.random.default_rng(0)"),
        ],
        f"{_EVALUATION}/calibration.py": [
            ("_LOWEST, _HIGHEST = 0.2, 20.0", "_LOWEST, _HIGHEST = 0.5, 20.0"),
            ("_LOWEST, _HIGHEST = 0.2, 20.0", "_LOWEST, _HIGHEST = 0.2, 10.0"),
            ("_TOLERANCE = 1e-10", "_TOLERANCE = 1e-2"),
        ],
        f"{_EVALUATION}/metrics.py": [
            ("NUM_BINS = 15", "NUM_BINS = 14"),
            ("SMALLEST_PROB = 1e-30", "SMALLEST_PROB = 1e-3"),
        ],
        f"{_EVALUATION}/report.py": [
            ("best_on(samples.val,", "best_on(samples.test,"),
            (
                "val = predictions[selected], predictions_on(samples.val,",
                "val = predictions[selected], predictions_on(samples.test,",
            ),
            ("predictions[best], test.groups", "predictions[best], np.array(test.ids)"),
            ("_SIZES = (0, 128, 256, 512)", "_SIZES = (0, 127, 256, 512)"),
            ("_SIZES = (0, 128, 256, 512)", "_SIZES = (0, 128, 257, 512)"),
            ("_SIZES = (0, 128, 256, 512)", "_SIZES = (0, 128, 256, 511)"),
        ],
        "src/tandem/files.py": [
            ("_MAX_DEPTH, _MAX_VALUES = 100, 100_000", "_MAX_DEPTH, _MAX_VALUES = 101, 100_000"),
            ("_MAX_DEPTH, _MAX_VALUES = 100, 100_000", "_MAX_DEPTH, _MAX_VALUES = 100, 200_000"),
        ],
    }.items()
    for was, becomes in changes
)
