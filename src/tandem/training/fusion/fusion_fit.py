"""Fit networks of feature fusion by Adam, those of one table and batch size at once: each as if it were alone.

The averaged weights of one epoch are kept, as of a linear head (see fitting/linear_fit.py).
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tandem.training.fitting.draws import Draws, draw_epoch
from tandem.training.fitting.early_stopping import EarlyStopping
from tandem.training.fusion.flat_adam import FlatAdam
from tandem.training.fusion.fusion_head import FusionHead
from tandem.training.fusion.layers import (
    NUM_STEPS,
    FusionShape,
    Passed,
    fused_logits,
    projections_of,
    steps_of,
    write_gradients,
)
from tandem.training.fusion.span import Span, span_of
from tandem.training.task import Fitted, FusionTask, HeadTask


def fit_fusions(tasks: Sequence[HeadTask]) -> list[Fitted]:
    """A network for each task, all of which have `fusion`. The same task gives the same bytes, whatever it is with.

    Raises DataError when a loss stops being finite.
    """
    alike = defaultdict[tuple[object, ...], list[int]](list)
    for number, task in enumerate(tasks):
        settings, rows = task.settings, task.train.rows.tobytes()
        key = (id(task.features), rows, task.fusion, task.num_classes, settings.batch_size, settings.weight_decay)
        alike[key].append(number)
    fitted = dict[int, Fitted]()
    # a lr that is too high ends in values that are not finite, which the losses show
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for numbers in alike.values():
            fitted |= zip(numbers, _Together([tasks[number] for number in numbers]).fit(), strict=True)
    return [fitted[number] for number in range(len(tasks))]


class _Fit:
    """The fit of one network so far. columns: (N * k, r) of all images' views, see Span."""

    def __init__(self, task: HeadTask, columns: np.ndarray) -> None:
        self.task, self.rng = task, np.random.default_rng(task.settings.seed)
        self.rows, self.targets = task.rows_of(task.train)
        self.val_columns = columns[task.rows_of(task.val)[0]][None]
        self.early_stopping = EarlyStopping(
            task.settings, task.name, task.on_epoch, targets=task.val.targets, groups=task.val.groups
        )
        self.kept = np.empty(0, np.float32)

    def start(self, weights: np.ndarray, shape: FusionShape, span: Span) -> None:
        """Draw the first weights (num_weights,) as torch does those of its layers; gains are 1 and shifts 0."""
        arrays = [array[0] for array in shape.split(weights[None])]
        bounds = [*span.bounds, *(size**-0.5 for size in shape.sizes[:NUM_STEPS])]
        steps = steps_of(arrays)
        for bound, parts in zip(bounds, [*projections_of(arrays), *(step[2:] for step in steps)], strict=True):
            for part in parts:
                part[:] = self.rng.uniform(-bound, bound, part.shape)
        for gain, *_ in steps:
            gain[:] = 1

    def next_epoch(self) -> Draws:
        """Its batches."""
        settings, num_classes = self.task.settings, self.task.num_classes
        return draw_epoch(
            self.rows,
            self.targets,
            num_classes=num_classes,
            balance=settings.balance,
            batch_size=settings.batch_size,
            rng=self.rng,
        )

    def end_epoch(self, train: tuple[float, float], averages: np.ndarray, shape: FusionShape) -> None:
        """Validate the averaged weights (num_weights,), and keep them if they are to be kept."""
        logits = fused_logits(shape.split(averages[None]), self.val_columns)[0]
        val_logits = logits.reshape(len(self.task.val), self.task.num_views, -1).mean(axis=1)
        if self.early_stopping.end_epoch(*train, val_logits):
            self.kept = averages.copy()

    def fitted(self, shape: FusionShape, span: Span) -> Fitted:
        """The network of the kept epoch, on features and not on columns, and the curve."""
        arrays, count = [array[0] for array in shape.split(self.kept[None])], len(shape.dims)
        projections = span.of_features(arrays[0 : 2 * count : 2])
        arrays[0 : 2 * count : 2] = projections
        head = FusionHead(span.mean, span.std, shape._replace(dims=span.dims), tuple(array.copy() for array in arrays))
        return Fitted(head, tuple(self.early_stopping.curve), {"best_epoch": self.early_stopping.kept})


class _Together:
    """Fits of one table, one shape and one batch size, so many of them as are not over."""

    def __init__(self, tasks: Sequence[HeadTask]) -> None:
        first, fusion = tasks[0], _fusion_of(tasks[0])
        self.span = span_of(first.table, first.rows_of(first.train)[0], fusion.dims)
        self.columns, self.dropout = self.span.columns(first.table), fusion.dropout
        self.shape = FusionShape(self.span.num_columns, fusion.width, first.num_classes)
        self.fits = [_Fit(task, self.columns) for task in tasks]
        weights = np.zeros((len(tasks), self.shape.num_weights), np.float32)
        for fit, own in zip(self.fits, weights, strict=True):
            fit.start(own, self.shape, self.span)
        self.adam = FlatAdam(weights, weight_decay=first.settings.weight_decay)
        self.noise = np.empty((len(tasks), first.settings.batch_size, sum(self.shape.sizes[:NUM_STEPS])), np.float32)

    def fit(self) -> list[Fitted]:
        """Of each task."""
        first, active = self.fits[0], self.fits
        name = first.task.name if len(active) == 1 else f"{first.task.name} and {len(active) - 1} more"
        with tqdm(total=first.task.settings.epochs, desc=name, unit="epoch", disable=None) as bar:
            while active:
                for fit, scores, averages in zip(active, self._train_epoch(active), self.adam.averages, strict=True):
                    fit.end_epoch(scores, averages, self.shape)
                is_active = [not fit.early_stopping.is_over for fit in active]
                if not all(is_active):
                    self.adam.keep(np.array(is_active))
                    active = [fit for fit in active if not fit.early_stopping.is_over]
                bar.update()
                bar.set_postfix(val_loss=f"{first.early_stopping.curve[-1].val_loss:.3f}")
        return [fit.fitted(self.shape, self.span) for fit in self.fits]

    def _train_epoch(self, fits: Sequence[_Fit]) -> list[tuple[float, float]]:
        """Mean loss and top-1 accuracy of each fit over its batches."""
        rows, one_hots, weights, sizes = (
            np.stack(part, axis=1) for part in zip(*map(_Fit.next_epoch, fits), strict=True)
        )
        arrays, gradients = (self.shape.split(each) for each in (self.adam.weights, self.adam.gradients))
        lr, sums = [fit.early_stopping.lr for fit in fits], np.zeros((len(fits), 2))
        for of_step, one_hot, loss_weights, size in zip(rows, one_hots, weights, sizes, strict=True):
            inputs, masks, passed = self.columns[of_step], self._masks(fits), list[Passed]()
            logits = fused_logits(arrays, inputs, masks, passed)
            logits -= logits.max(axis=2, keepdims=True)
            probs = np.exp(logits)
            total = probs.sum(axis=2, keepdims=True)
            write_gradients(arrays, gradients, inputs, masks, passed, (probs / total - one_hot) * loss_weights)
            self.adam.step(lr)
            losses = np.log(total[..., 0]) - (logits * one_hot).sum(axis=2)
            is_right = (logits.argmax(axis=2) == one_hot.argmax(axis=2)) & (loss_weights[..., 0] > 0)
            sums[:, 0] += size[:, 0] * (loss_weights[..., 0] * losses).sum(axis=1)
            sums[:, 1] += is_right.sum(axis=1)
        means = sums / sizes.sum(axis=0)
        return [(loss, accuracy) for loss, accuracy in means.tolist()]

    def _masks(self, fits: Sequence[_Fit]) -> list[np.ndarray]:
        """Dropout's factors before each step of the layers, drawn by each fit for itself."""
        noise = self.noise[: len(fits)]
        for fit, own in zip(fits, noise, strict=True):
            fit.rng.random(out=own, dtype=np.float32)
        factors = (noise >= self.dropout) * np.float32(1 / (1 - self.dropout))
        return np.split(factors, np.cumsum(self.shape.sizes[: NUM_STEPS - 1]), axis=2)


def _fusion_of(task: HeadTask) -> FusionTask:
    assert task.fusion is not None
    return task.fusion
