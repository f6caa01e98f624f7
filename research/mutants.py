"""Changes small pure modules here and there, and lists the changes that their tests do not notice.

Run by ``make mutants``, outside of the usual checks: it takes a second a mutant. docs/mutants.md holds what survived.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {
    "core/labels.py": "tests/core/test_labels.py",
    "core/region.py": "tests/core/test_region.py",
    "engines/answer.py": "tests/engines/test_answer.py",
    "evaluate/statistics.py": "tests/evaluate/test_statistics.py",
    "evaluate/metrics/dice.py": "tests/evaluate/test_metrics.py",
    "evaluate/metrics/hausdorff.py": "tests/evaluate/test_metrics.py",
    "evaluate/metrics/average_distance.py": "tests/evaluate/test_metrics.py",
    "evaluate/metrics/borders.py": "tests/evaluate/test_metrics.py",
}
"""Modules of the package, each with its tests."""
COPIED = ("src", "tests", "research", "docs", "pyproject.toml")


def main() -> None:
    """Mutate the modules that the command line names, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("module", nargs="*", help=f"of {', '.join(MODULES)}")
    chosen = parser.parse_args().module or list(MODULES)
    if unknown := [module for module in chosen if module not in MODULES]:
        parser.error(f"{', '.join(unknown)}: expected one of {', '.join(MODULES)}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for module in chosen:
            print(f"== {module}", flush=True)
            print(mutate(module, Path(folder) / module.replace("/", "-")), flush=True)


def mutate(module: str, folder: Path) -> str:
    """Mutate one module in a copy of the repository, so that nothing here is touched.

    Args:
        module: A key of ``MODULES``.
        folder: For the copy.

    Returns:
        How many mutants there were and the change that each survivor makes.
    """
    copy(folder, module)
    log = folder / "mutmut.log"
    with log.open("w", encoding="utf-8") as file:
        status = subprocess.run(mutmut("run", "--max-children", "1"), cwd=folder, stdout=file, stderr=file, check=False)
    results = run(folder, "results", "--all", "true").splitlines()
    states = dict(line.strip().split(": ", 1) for line in results if "__mutmut_" in line)
    if status.returncode or not states:
        return f"mutmut failed:\n{log.read_text(encoding='utf-8').split(chr(13))[-1][-2000:]}"
    alive = [name for name, state in states.items() if state != "killed"]
    lines = [f"{len(states)} mutants, {len(states) - len(alive)} killed"]
    for name in alive:
        shown = run(folder, "show", name).splitlines()
        changed = [line for line in shown if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]
        lines += [f"{name.split('.')[-1]}: {states[name]}", *changed]
    return "\n".join(lines)


def copy(folder: Path, module: str) -> None:
    """Copy what git knows or would take in, and tell mutmut what to mutate."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *COPIED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    settings = folder / "pyproject.toml"
    text = settings.read_text(encoding="utf-8").replace('pythonpath = ["."]', 'pythonpath = [".", "src"]')
    settings.write_text(
        text + "\n[tool.mutmut]\n"
        'source_paths = ["src"]\n'
        f'only_mutate = ["src/bedside/{module}"]\n'
        'also_copy = ["tests", "docs", "research"]\n'
        'pytest_add_cli_args = ["-n0", "-p", "no:cacheprovider"]\n'
        f'pytest_add_cli_args_test_selection = ["{MODULES[module]}"]\n',
        encoding="utf-8",
    )


def run(folder: Path, *arguments: str) -> str:
    """Return what mutmut prints."""
    return subprocess.run(mutmut(*arguments), cwd=folder, capture_output=True, text=True, check=False).stdout


def mutmut(*arguments: str) -> Sequence[str]:
    """Build a command line of mutmut."""
    return (sys.executable, "-m", "mutmut", *arguments)


if __name__ == "__main__":
    main()
