"""What the layout promises, held against dvc.yaml, params.yaml and the sources themselves."""

import ast
import hashlib
import re
import subprocess
import sys
from collections import Counter, defaultdict
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from tandem.pipeline.code.listings import Code

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tandem"
LIBRARY = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
SCRIPTS = sorted((ROOT / "stages").glob("[!_]*.py"))
# what a stage writes under metrics/ beside the files that carry its name
OTHER_METRICS = {
    "evaluate": {
        "metrics/summary.json",
        "metrics/models.csv",
        "metrics/confusion.csv",
        "metrics/curves.csv",
        "metrics/reliability.csv",
        "metrics/risk_coverage.csv",
    }
}
KNOW_THE_LAYOUT = (
    "pipeline/params.py",
    "pipeline/code/pinned.py",
    "cli/diff.py",
    "cli/doctor.py",
    "cli/main.py",
    "cli/results.py",
    "cli/review.py",
)
MAX_MODULES, MAX_LINES, MAX_FUNCTION_LINES = 12, 300, 50
# Names that interchangeable modules of one contract share.
CONTRACTS = (
    ("datasets/formats/*.py", {"NAME", "matches", "read"}),
    ("sources/*.py", {"IS_REMOTE", "check", "fetch", "page", "service_info"}),
    ("sources/transfer/*_client.py", {"work"}),
    ("features/backbones/*.py", {"adapt", "architectures", "build", "weights_file"}),
)
# Modules that no test file is named after, and the test file that is about them.
TESTED_IN = {
    "types.py": "pipeline/test_schema.py",
    "*/settings.py": "pipeline/test_schema.py",
    "sources/synthetic/*.py": "sources/test_synthetic.py",
    "sources/kinds.py": "sources/test_download.py",
    "sources/sample.py": "sources/test_download.py",
    "sources/status.py": "sources/test_check.py",
    "sources/transfer/kaggle_client.py": "sources/test_kaggle.py",
    "sources/transfer/roboflow_client.py": "sources/test_roboflow.py",
    "sources/transfer/process.py": "sources/test_attempt.py",
    "datasets/ingest.py": "datasets/test_merge.py",
    "datasets/decoding.py": "datasets/test_ingest.py",
    "cluster/work.py": "cluster/test_local.py",
    "cluster/actor.py": "cluster/test_ray.py",
    "features/embedding.py": "features/test_reuse.py",
    "pipeline/problems.py": "pipeline/test_schema.py",
    "cli/review.py": "project/test_reviews.py",
    "cli/export.py": "project/test_export.py",
    "pipeline/trained.py": "project/test_export.py",
    "cli/predict.py": "project/test_export.py",
    "inference/classifier.py": "project/test_export.py",
    "inference/converted.py": "inference/test_convert.py",
    "inference/networks.py": "inference/test_graph.py",
    "inference/runtime.py": "inference/test_exported.py",
    "datasets/formats/*.py": "datasets/test_formats.py",
}
A_PATH_OF_THE_LAYOUT = re.compile(r"params\.yaml|(data|metrics)/\S*")
BRANCHES = (ast.For, ast.While, ast.AsyncFor, ast.If, ast.IfExp, ast.Match, ast.Try, ast.TryStar)


def yaml(name):
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8"))


def rel(path):
    return path.relative_to(ROOT).as_posix()


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


PARAMS = yaml("params.yaml")
DVC = yaml("dvc.yaml")
STAGES = DVC["stages"]
BODIES = {name: stage.get("do", stage) for name, stage in STAGES.items()}
each_stage = pytest.mark.parametrize("stage", STAGES)
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=rel)
each_module = pytest.mark.parametrize("module", LIBRARY, ids=rel)


def paths(stage, *kinds):
    """What a stage lists under these kinds, without the options that may follow a path."""
    entries = (entry for kind in kinds for entry in BODIES[stage].get(kind, []))
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def imported(path):
    """Every module that a file imports, by its full name, wherever in the file; `from a import b` may name a.b."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def graph():
    return grimp.build_graph("tandem")


def own_modules(path):
    """The files of this project that a script runs: what it imports, what that imports, the packages on the way.

    By grimp's graph, which shares no code with tandem.pipeline.code.listings.
    """
    beside = {path.with_name(f"{name}.py") for name in imported(path) if name.startswith("_")}
    beside = {file for file in beside if file.is_file()}
    direct = {name for file in (path, *beside) for name in imported(file) if name in graph().modules}
    direct = {name for name in direct if not any(other.startswith(f"{name}.") for other in direct)}
    modules = direct.union(*(graph().find_upstream_modules(name) for name in direct))
    packages = {".".join(name.split(".")[:n]) for name in modules for n in range(1, name.count(".") + 1)}
    return beside | {file_of(name) for name in modules | packages}


def file_of(name):
    path = ROOT / "src" / Path(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def public_names(path):
    """The names without an underscore that a module defines at its top."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        else:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (name for name in names if not name.startswith("_"))


def outside(path):
    return {name.partition(".")[0] for name in imported(path)}


def leaves(value, key=""):
    """Dotted keys of all scalars and lists, and of mappings that are empty."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}" if key else name)
    else:
        yield key


def tracked(stage):
    """The keys of params.yaml that a stage tracks, templates filled in for each item of its foreach."""
    keys = BODIES[stage].get("params", [])
    if "foreach" not in STAGES[stage]:
        return set(keys)
    items = PARAMS[STAGES[stage]["foreach"].removeprefix("${").removesuffix("}")]
    fill = re.compile(r"\$\{item\.(\w+)\}")
    return {
        fill.sub(lambda found, item=item: item[found[1]], key.replace("${key}", name))
        for name, item in items.items()
        for key in keys
    }


def at(key):
    value = PARAMS
    for name in key.split("."):
        value = value[name]
    return value


# --- dvc.yaml against the sources


@each_stage
def test_a_stage_depends_first_on_the_list_of_its_code_and_names_none_itself(stage):
    if stage == "check":  # which writes the lists, by all that any of them may name
        assert paths(stage, "deps") == ["stages", "src/tandem", "params.yaml"]
    else:
        assert paths(stage, "deps")[0] == f"data/check/code/{stage}.txt"
        assert not [path for path in paths(stage, "deps") if path.startswith(("src/", "stages/"))]


@each_script
def test_the_list_of_a_scripts_code_names_what_it_imports_and_no_other(script):
    needed = {script, *own_modules(script)}
    listed = dict(reversed(line.split("  ")) for line in Code(ROOT).listing(script).splitlines())
    assert list(listed) == sorted(rel(path) for path in needed)
    for name, digest in listed.items():
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest


def test_a_list_changes_with_the_code_that_it_names_and_with_no_other(tmp_path):
    files = {
        "stages/one.py": "def main():\n    from tandem import near\n",
        "stages/other.py": "import tandem.far\n",
        "src/tandem/__init__.py": "",
        "src/tandem/near.py": "from tandem.parts import first\n",
        "src/tandem/far.py": "import json\n",
        "src/tandem/parts/__init__.py": "",
        "src/tandem/parts/first.py": "",
        "src/tandem/parts/second.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def lists():
        code = Code(tmp_path)
        return [code.listing(tmp_path / f"stages/{name}.py") for name in ("one", "other")]

    before = lists()
    for name, changed in [
        ("stages/one.py", 0),
        ("src/tandem/near.py", 0),
        ("src/tandem/parts/__init__.py", 0),
        ("src/tandem/far.py", 1),
        ("src/tandem/parts/second.py", None),
    ]:
        (tmp_path / name).write_text(files[name] + "# changed\n")
        after = lists()
        assert [one != other for one, other in zip(before, after, strict=True)] == [changed == 0, changed == 1], name
        before = after


def test_every_script_is_a_stage_and_every_stage_has_a_script():
    assert sorted(STAGES) == [script.stem for script in SCRIPTS]


@each_stage
def test_stage_script_and_outputs_share_one_name(stage):
    program, *arguments = BODIES[stage]["cmd"].split()[1:]
    assert program == f"stages/{stage}.py"
    assert arguments == (["${key}"] if "foreach" in STAGES[stage] else [])
    own = re.compile(rf"(data/{stage}(/.+)?|metrics/{stage}(\.json|\.csv|/.+))")
    for path in paths(stage, "outs", "metrics", "plots"):
        assert own.fullmatch(path) or path in OTHER_METRICS.get(stage, ()), path


def test_every_plotted_file_is_written_by_a_stage():
    plotted = {path for plot in DVC.get("plots", []) for options in plot.values() for path in options["y"]}
    assert plotted <= {path for stage in STAGES for path in paths(stage, "outs", "metrics", "plots")}


def test_stages_stand_in_running_order():
    order = list(STAGES)
    for stage in order:
        for path in paths(stage, "deps"):
            if path.startswith("data/") and not path.startswith("data/review/"):  # a person's, and in git
                assert order.index(path.split("/")[1]) < order.index(stage), f"{stage} reads {path}"


@each_stage
def test_a_stage_has_a_description_of_one_line(stage):
    assert BODIES[stage].get("desc", "").strip()
    assert "\n" not in BODIES[stage]["desc"].strip()


@each_stage
def test_parameters_that_a_stage_tracks_exist(stage):
    for key in tracked(stage):
        at(key)


@each_stage
def test_a_stage_tracks_every_section_that_its_script_reads(stage):
    text = (ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8")
    sections = re.findall(r'read_params\(\)\["(\w+)"\]', text) or re.findall(r'\bparams\["(\w+)"\]', text)
    reads_all = "params.yaml" in paths(stage, "deps")
    assert reads_all or set(sections) - {"runtime"} <= {key.partition(".")[0] for key in tracked(stage)}


def test_every_parameter_but_the_speed_knobs_is_tracked_by_a_stage():
    keys = {key for stage in STAGES for key in tracked(stage)}
    loose = [leaf for leaf in leaves(PARAMS) if not any(leaf == key or leaf.startswith(f"{key}.") for key in keys)]
    assert loose == [f"runtime.{name}" for name in PARAMS["runtime"]]


def test_only_the_check_stage_reads_the_whole_parameter_file():
    assert [stage for stage in STAGES if "params.yaml" in paths(stage, "deps")] == ["check"]


def test_parameters_are_the_preset_of_the_sample():
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "presets" / "sample.yaml").read_bytes()


# --- the scripts


@each_script
def test_a_script_is_short_and_has_no_branch_but_its_last_lines(script):
    *statements, last = tree(script).body
    branches = [node.lineno for part in statements for node in ast.walk(part) if isinstance(node, BRANCHES)]
    lines = script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    assert branches == []
    assert ast.unparse(last).startswith("if __name__ == '__main__':")


@each_script
def test_a_script_passes_what_it_passes_by_name_and_spreads_no_dict(script):
    nodes = list(ast.walk(tree(script)))
    calls = [node.lineno for node in nodes if isinstance(node, ast.Call) if any(not key.arg for key in node.keywords)]
    dicts = [node.lineno for node in nodes if isinstance(node, ast.Dict) if None in node.keys]
    assert calls + dicts == []


# --- the library


def layout_paths(module):
    """String constants that are a path of the project's layout as a whole, or begin one; messages have spaces."""
    constants = (node.value for node in ast.walk(tree(module)) if isinstance(node, ast.Constant))
    return [text for text in constants if isinstance(text, str) and A_PATH_OF_THE_LAYOUT.fullmatch(text)]


@each_module
def test_a_module_does_not_know_where_the_project_keeps_its_files(module):
    assert module.relative_to(PACKAGE).as_posix() in KNOW_THE_LAYOUT or layout_paths(module) == []


@each_module
def test_a_module_and_its_functions_are_of_a_size_to_read(module):
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert [f.name for f in functions if f.end_lineno - f.lineno + 1 > MAX_FUNCTION_LINES] == []


def test_a_room_has_at_most_a_dozen_modules():
    counts = Counter(rel(module.parent) for module in LIBRARY)
    assert {room: count for room, count in counts.items() if count > MAX_MODULES} == {}


def test_no_public_name_stands_in_two_modules_for_two_things():
    places = defaultdict(list)
    for module in LIBRARY:
        for name in public_names(module):
            places[name].append(module.relative_to(PACKAGE).as_posix())
    twice = {name: found for name, found in places.items() if len(found) > 1 and not is_of_a_contract(name, found)}
    assert twice == {}


def is_of_a_contract(name, modules):
    """Whether all these modules share a name because one can stand for the other."""
    return any(name in names and all(fnmatch(each, pattern) for each in modules) for pattern, names in CONTRACTS)


@each_module
def test_settings_are_defined_in_the_settings_of_a_room_alone(module):
    sections = [node.name for node in tree(module).body if isinstance(node, ast.ClassDef) if is_section(node)]
    assert sections == [] or module.name == "settings.py" or rel(module) == "src/tandem/pipeline/schema.py"  # the whole


def is_section(node):
    return any(isinstance(base, ast.Name) and base.id == "Section" for base in node.bases)


@each_module
def test_a_module_has_a_test_file_of_its_name_or_is_said_to_be_tested_elsewhere(module):
    name = module.relative_to(PACKAGE).as_posix()
    room = name.partition("/")[0] if "/" in name else "."
    if (ROOT / "tests" / room / f"test_{module.stem}.py").is_file():
        return
    stated = re.search(r"Tested in\s+tests/(\S+\.py)", ast.get_docstring(tree(module)) or "")
    listed = [place for pattern, place in TESTED_IN.items() if fnmatch(name, pattern)]
    place = ROOT / "tests" / (stated[1] if stated else listed[0] if listed else "nowhere")
    assert place.is_file(), f"{name} has no tests/{room}/test_{module.stem}.py and no line that says where it is tested"
    assert module in own_modules(place) or module.stem in place.read_text(encoding="utf-8")


def test_module_names_say_what_is_in_them():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [rel(module) for module in LIBRARY if vague & set(module.stem.split("_"))] == []


@pytest.mark.parametrize("package", sorted(PACKAGE.rglob("__init__.py")), ids=rel)
def test_a_package_file_holds_one_docstring_and_nothing_else(package):
    (only,) = tree(package).body
    assert isinstance(only, ast.Expr)
    assert ast.get_docstring(tree(package))


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("fiftyone", {"review/database.py", "review/dataset.py"}),
        ("torchvision", {"features/backbones/torchvision.py", "finetune/augment.py"}),
        ("openvino", {"features/engines/openvino.py"}),
    ],
)
def test_a_heavy_library_has_one_module_that_imports_it(library, owners):
    assert {module.relative_to(PACKAGE).as_posix() for module in LIBRARY if library in outside(module)} == owners
    assert [rel(script) for script in SCRIPTS if library in outside(script)] == []


def test_only_modules_that_draw_import_matplotlib():
    drawing = [rel(path) for path in [*LIBRARY, *SCRIPTS] if "matplotlib" in outside(path)]
    assert [path for path in drawing if "plot" not in path] == ["src/tandem/inference/explanation/drawing.py"]


def test_modules_that_need_no_torch_and_no_fiftyone_do_not_import_them():
    code = (
        "from tandem.cli import main; from tandem.datasets import merge; from tandem.evaluation import report;"
        "from tandem.inference import classifier, export, networks, parity, tensors;"
        "from tandem.pipeline import schema; from tandem.studies import repeated_splits;"
        "import sys; print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout
    assert {"torch", "torchvision", "fiftyone"} & set(said.split()) == set()


def test_torch_and_torchvision_are_a_matching_pair():
    import torch
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 9.0, 10.0]])
    assert nms(boxes, torch.tensor([0.2, 0.8]), iou_threshold=0.5).tolist() == [1]
