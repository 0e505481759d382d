"""Which classes the labels of several sources are: what agrees is joined, what can be no class is ignored, and said.

Labels agree as labels.match compares them (case, accents, "_" and "-" do not count), and where one is the plural of
another one that no source tells from it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tandem.datasets.labels import exact_label, is_split_name, normalize_label
from tandem.datasets.settings import LabelMatch, LabelSettings
from tandem.errors import DataError

MIN_IMAGES = 6  # of a class: with fewer a split is soon without it
_PLURALS = (("", "s"), ("", "es"), ("y", "ies"), ("ao", "oes"), ("l", "is"), ("m", "ns"))  # English, Portuguese

Counts = Mapping[str, Mapping[str, int]]  # source -> label -> images


@dataclass(frozen=True)
class ClassPlan:
    """names: class -> the spellings of its label, the class's own first. images: class -> how many.

    ignored: label -> why it is no class. match: how labels are compared.
    """

    names: Mapping[str, tuple[str, ...]]
    images: Mapping[str, int]
    ignored: Mapping[str, str]
    match: LabelMatch = "folded"

    @property
    def settings(self) -> LabelSettings:
        """The section `labels` of params.yaml."""
        aliases = {name: tuple(_aliases(name, spellings, self.match)) for name, spellings in self.names.items()}
        return LabelSettings(aliases, tuple(self.ignored), {}, self.match)

    def without(self, name: str, reason: str) -> "ClassPlan":
        """The same with one class less, whose labels are ignored for a reason."""
        names = {each: spellings for each, spellings in self.names.items() if each != name}
        images = {each: count for each, count in self.images.items() if each != name}
        ignored = {**self.ignored, **dict.fromkeys(self.names[name], reason)}
        return require_two(ClassPlan(names, images, ignored, self.match))


def plan_classes(counts: Counts) -> ClassPlan:
    """The classes of the labels that sources have. Raises DataError where they are fewer than two."""
    form = _form(counts)
    match: LabelMatch = "folded" if form is normalize_label else "exact"
    total = Counter[str]()
    for labels in counts.values():
        total.update(labels)
    names, ignored = dict[str, tuple[str, ...]](), dict[str, str]()
    for spellings in sorted(_grouped(counts, form), key=lambda group: group[0].casefold()):
        number = sum(total[each] for each in spellings)
        if reason := _why_no_class(normalize_label(spellings[0]), number):
            ignored |= dict.fromkeys(spellings, reason)
        else:
            names[exact_label(spellings[0])] = spellings
    images = {name: sum(total[each] for each in spellings) for name, spellings in names.items()}
    return require_two(ClassPlan(names, images, ignored, match))


def require_two(plan: ClassPlan) -> ClassPlan:
    """The plan itself. Raises DataError where it has fewer than two classes."""
    if len(plan.names) < 2:
        found = [f"{name} ({plan.images[name]} images)" for name in plan.names]
        found += [f"{label} ({reason})" for label, reason in plan.ignored.items()]
        raise DataError(
            f"two classes are needed, and the labels are {', '.join(found[:12]) or 'none'}; lay the images out in a "
            "folder for each class, or name more --data"
        )
    return plan


def _form(counts: Counts) -> Callable[[str], str]:
    """What of a label is compared: as little of it as no source tells two classes apart by."""
    if _tells_letters_apart(counts):
        return exact_label
    return _lowered if _tells_marks_apart(counts) else normalize_label


def _grouped(counts: Counts, form: Callable[[str], str]) -> Iterator[tuple[str, ...]]:
    """The labels of all sources, those of one class together, the most frequent spelling first."""
    total, spellings = Counter[str](), defaultdict[str, set[str]](set)
    sources = defaultdict[str, set[str]](set)
    for source, labels in counts.items():
        for label, number in labels.items():
            total[label] += number
            spellings[form(label)].add(label)
            sources[form(label)].add(source)
    for plural in sorted(spellings):
        for singular in _singulars(plural) if form is not exact_label else ():
            if spellings.get(singular) and not sources[singular] & sources[plural]:
                spellings[singular] |= spellings.pop(plural)
                sources[singular] |= sources.pop(plural)
                break
    for group in spellings.values():
        yield tuple(sorted(group, key=lambda label: (-total[label], label)))


def _singulars(plural: str) -> Iterator[str]:
    return (plural.removesuffix(end) + start for start, end in _PLURALS if plural.endswith(end) and plural != end)


def _why_no_class(label: str, num_images: int) -> str:
    if is_split_name(label):
        return f"{num_images} images; it looks like a split, not a class"
    if num_images < MIN_IMAGES:
        return f"{num_images} image{'s' if num_images > 1 else ''}, and a class needs {MIN_IMAGES} to be in every split"
    return ""


def _tells_letters_apart(counts: Counts) -> bool:
    """Whether a source has labels of one letter each that differ by case or accents alone, as sets of letters do."""
    for labels in counts.values():
        letters = [exact_label(label) for label in labels if len(exact_label(label)) == 1]
        if len({normalize_label(letter) for letter in letters}) < len(letters):
            return True
    return False


def _tells_marks_apart(counts: Counts) -> bool:
    """Whether a source has labels of images enough for a class each that differ by accents or other marks alone."""
    for labels in counts.values():
        images = Counter[str]()
        for label, number in labels.items():
            images[_lowered(label)] += number
        large = [label for label, number in images.items() if number >= MIN_IMAGES]
        if len({normalize_label(label) for label in large}) < len(large):
            return True
    return False


def _aliases(name: str, spellings: tuple[str, ...], match: LabelMatch) -> Iterator[str]:
    """The spellings that have to be listed; what differs by case, "_" and "-" from one that is need not be."""
    seen = {_lowered(name) if match == "folded" else exact_label(name)}
    for spelling in spellings:
        key = _lowered(spelling) if match == "folded" else exact_label(spelling)
        if key not in seen:
            seen.add(key)
            yield spelling


def _lowered(label: str) -> str:
    return re.sub(r"[\s_\-]+", " ", exact_label(label).lower()).strip()
