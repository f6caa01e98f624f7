"""The examples of the README, the tutorials and the how-to pages are run as they stand."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from docs_tools.blocks import BlockError, blocks_in, environment_of_this_python, run_blocks
from docs_tools.links import ROOT
from tests.docs.made import make_datasets, make_files, make_visits, make_workspace

ELSEWHERE = {"docs/how-to/pacs.md": "tests/archive/test_page.py starts a PACS for it"}
PAGES = [
    "README.md",
    "docs/install.md",
    *sorted(
        page
        for folder in ("tutorials", "how-to")
        for path in (ROOT / "docs" / folder).glob("*.md")
        if (page := path.relative_to(ROOT).as_posix()) not in ELSEWHERE
    ),
]

NEEDS = {
    "docs/how-to/add-a-format.md": "bedside.core.extensions",
    "docs/how-to/add-a-metric.md": "bedside.evaluate.metrics:MetricSpec",
    "docs/how-to/add-a-model.md": "bedside.engines.window.encodings:PromptEncoding",
    "docs/how-to/add-a-runtime.md": "bedside.core.extensions",
}
"""What pages tell of that is not in every version: without it they are skipped."""


def is_slow(page: str) -> bool:
    return "<!-- slow:" in (ROOT / page).read_text(encoding="utf-8")


def lacks(reference: str) -> str:
    """``reference`` where there is no such module, or no such name in it, else nothing."""
    module, _, name = reference.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return reference
    return "" if not name or hasattr(found, name) else reference


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if is_slow(page) else []) for page in PAGES]
)
def test_the_examples_of_a_page_run(page: str, tmp_path: Path) -> None:
    if missing := lacks(NEEDS.get(page, "bedside")):
        pytest.skip(f"{page} tells of {missing}, which is not there yet")
    make_files(tmp_path)
    if page.startswith("docs/how-to/"):
        make_datasets(tmp_path)
    if page == "docs/how-to/export.md":
        make_workspace(tmp_path)
    if page == "docs/how-to/priors.md":
        make_visits(tmp_path)
    blocks = blocks_in(page, (ROOT / page).read_text(encoding="utf-8"))
    homes = {name: str(tmp_path / ".home") for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    ran = run_blocks(blocks, tmp_path, {**environment_of_this_python(), **homes})
    assert ran or all(block.marker == "not run" or block.language not in ("bash", "python") for block in blocks)


class TestTheRunner:
    """A runner that lets everything pass would say nothing of the pages."""

    @pytest.mark.parametrize(
        ("page", "message"),
        [
            ("```\nls\n```\n", "p.md:1: expected one of"),
            ("```fortran\n```\n", "got 'fortran'"),
            ("<!-- not run -->\n```bash\nls\n```\n", "p.md:2: 'not run' needs a reason"),
            ("<!-- slow: -->\n```bash\nls\n```\n", "needs a reason"),
        ],
    )
    def test_a_block_says_what_it_is(self, page: str, message: str) -> None:
        with pytest.raises(BlockError, match=message.replace("(", "\\(")):
            blocks_in("p.md", page)

    @pytest.mark.parametrize(
        ("page", "message"),
        [
            ("text\n\n```bash\ntrue\nfalse\ntrue\n```\n", "p.md:3: exit status 1"),
            ("```bash\nfalse | true\n```\n", "exit status 1"),
            ("```bash\necho $nothing_of_that_name\n```\n", "unbound variable"),
            ("```python\n1 / 0\n```\n", "p.md:1: ZeroDivisionError"),
            ("```python\nprint(2)\n```\n\n<!-- prints -->\n```text\n3\n```\n", "p.md:6: expected\n3"),
            ("```bash\nexport A=1\npip install x\n```\n", "changes its environment"),
            ("```bash\n.venv/bin/python -m pip install x\n```\n", "changes its environment"),
            ("<!-- server -->\n```bash\necho no address\n```\n", "no address was printed"),
        ],
    )
    def test_a_block_that_fails_fails_its_page(self, page: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(BlockError) as caught:
            run_blocks(blocks_in("p.md", page), tmp_path, environment_of_this_python())
        assert message in str(caught.value)

    def test_blocks_share_names_and_a_folder(self, tmp_path: Path) -> None:
        page = (
            '```yaml title="a/b.yaml"\nx: 1\n```\n'
            "```python\nfrom pathlib import Path\nx = Path('a/b.yaml').read_text()\n```\n"
            "```python\nprint(x, 0.12345)\n```\n<!-- prints -->\n```text\nx: 1 0.1...\n```\n"
            "   ```bash\n   grep x a/b.yaml\n   ```\n"
            "<!-- not run: it would fail -->\n```bash\nfalse\n```\n```text\nanything\n```\n"
        )
        ran = run_blocks(blocks_in("p.md", page), tmp_path, environment_of_this_python())
        assert ran == ["p.md:1", "p.md:4", "p.md:8", "p.md:12", "p.md:15"]

    def test_a_package_of_the_page_is_found(self, tmp_path: Path) -> None:
        page = (
            '```toml title="pyproject.toml"\n[project]\nname = "a-b"\nversion = "1"\n'
            '[project.entry-points."bedside.readers"]\nx = "a_b:READER"\n```\n'
            '```python title="a_b.py"\nREADER = 7\n```\n<!-- installs -->\n```bash\npip install .\n```\n'
            "```bash\npython -c 'from importlib.metadata import entry_points\n"
            'for e in entry_points(group="bedside.readers"): print(e.dist.name, e.name, e.load())\'\n```\n'
            "<!-- prints -->\n```text\na-b x 7\n```\n"
        )
        assert run_blocks(blocks_in("p.md", page), tmp_path, environment_of_this_python())

    def test_python_of_a_block_is_this_one(self, tmp_path: Path) -> None:
        page = "```bash\npython -c 'import sys; print(sys.executable)'\n```\n"
        page += f"<!-- prints -->\n```text\n{sys.executable}\n```\n"
        assert run_blocks(blocks_in("p.md", page), tmp_path, environment_of_this_python())
