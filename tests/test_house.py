"""The house keeps its own rules: imports one way, light imports, tests that can fail, benches that run."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "morpholith"
STAGES = ("read", "segment", "measure", "track", "export", "nets", "specimens", "report", "generate", "design")


def _imports(path):
    """Return the modules of the package that a file imports, as dotted names under `morpholith`."""
    found = set()
    here = path.relative_to(SOURCE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            for alias in node.names:
                found.add(".".join([*base, *(node.module or "").split("."), alias.name]).strip("."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("morpholith"):
            found.add(node.module.removeprefix("morpholith").strip("."))
    return found


def _files(folder):
    return sorted((SOURCE / folder).rglob("*.py"))


def test_specimens_import_no_stage():
    for path in _files("specimens"):
        assert not any(name.startswith(STAGES) for name in _imports(path) if not name.startswith("specimens")), path


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_import_what_lies_above_them(stage):
    for path in _files(stage):
        assert not any(name.startswith(("cli", "workflows")) for name in _imports(path)), path


def test_stages_do_not_import_private_parts_of_each_other():
    for stage in STAGES:
        for path in _files(stage):
            for name in _imports(path):
                other, *rest = name.split(".")
                if other in STAGES and other != stage:
                    assert not any(part.startswith("_") for part in rest), (path, name)


def test_torch_lives_in_nets_alone():
    for path in SOURCE.rglob("*.py"):
        if "nets" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                assert not any(n.split(".")[0] == "torch" for n in names), path


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, morpholith, morpholith.measure, morpholith.segment, morpholith.read;"
        "print([m for m in ('torch', 'matplotlib', 'skimage.measure', 'dask') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def _tests():
    return sorted((ROOT / "tests").glob("test_*.py"))


def _asserts(function, checkers=()):
    """True if a test asserts something itself, expects an exception, or hands over to something that checks."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("raises", "warns", *checkers) or name.startswith(("assert", "check", "_check", "_assert")):
                return True
    return False


@pytest.mark.parametrize("path", _tests(), ids=lambda p: p.stem)
def test_every_test_can_fail_and_none_hides_a_twin(path):
    tree = ast.parse(path.read_text())
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    names = [f.name for f in functions]
    assert len(names) == len(set(names)), "two tests of one name: the first never runs"
    checkers = {f.name for f in tree.body if isinstance(f, ast.FunctionDef) and f not in functions and _asserts(f)}
    for function in functions:
        assert _asserts(function, checkers), f"{function.name} asserts nothing"
        for node in ast.walk(function):
            if isinstance(node, ast.Expr):
                assert not isinstance(node.value, ast.Compare), f"{function.name}: a comparison is thrown away"


BENCHES = (
    "bench_powder", "bench_real", "bench_electrode", "bench_tortuosity", "bench_particles3d", "bench_xanes",
    "bench_xanes_outlines", "bench_xanes_speed", "bench_xanes_chemistry", "bench_power_diagram",
    "bench_shells", "bench_grains", "bench_mesh", "bench_markers", "bench_diagram_fit", "bench_learn_shells",
    "bench_design", "bench_sem_design", "bench_micrographs",
)  # fmt: skip


@pytest.mark.parametrize("name", BENCHES)
def test_benches_run_at_toy_size(name, tmp_path, request):
    if name == "bench_real":
        request.getfixturevalue("data")
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--toy", "--results", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_continuous_integration_runs_the_command_of_the_readme():
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if "pytest" in line]
    assert len(lines) == 1
    assert "pytest" in (ROOT / ".ci" / "run").read_text()
    assert "constraints.txt" in lines[0]
