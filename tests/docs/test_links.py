"""Every relative link of the pages leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs_tools.links import ROOT, anchors_in, broken, for_site, links_in, pages, slug


@pytest.mark.parametrize("page", pages())
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not [why for link in links_in(page, text) if (why := broken(link))]


@pytest.mark.parametrize("page", sorted(set(pages()) - {"CHANGELOG.md"}))
def test_files_that_a_page_names_are_there(page: str) -> None:
    """By their path from the root, or from the package; examples of how-to pages name files of their own."""
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md|toml|json))`", (ROOT / page).read_text(encoding="utf-8"))
    places = (ROOT, ROOT / "src" / "bedside", (ROOT / page).parent)
    assert not [name for name in named if not any((place / name).is_file() for place in places)]


class TestTheTestItself:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "there.md").write_text(
            "# Why `it` is (so)\n\n```bash\n# no heading\n```\n## Why it is so\n"
        )
        return tmp_path

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            ("gone.md", "there is no docs/gone.md"),
            ("../../outside.md", "there is no ../outside.md"),
            ("there.md#nowhere", "docs/there.md has no heading of that name"),
            ("there.md#no-heading", "docs/there.md has no heading of that name"),
            ("there.md#why-it-is-so", None),
            ("there.md#why-it-is-so-1", None),
            ("../docs/there.md", None),
        ],
    )
    def test_a_link_that_leads_nowhere_is_found(self, target: str, why: str | None, root: Path) -> None:
        (link,) = links_in("docs/page.md", f"See [it]({target}).\n")
        found = broken(link, root)
        assert (found is None) if why is None else (found is not None and found.endswith(why))

    def test_links_are_found_in_prose_alone(self) -> None:
        text = '[a](a.md) and ![b](b.png "B")\n`[c](c.md)`\n```text\n[d](d.md)\n```\n<!-- [e](e.md) -->\n[f](https://f.f)\n'
        text += "[![g](g.png)](h.md) [i [j]](k.md)\n"
        assert [link.target for link in links_in("p.md", text)] == ["a.md", "b.png", "g.png", "h.md", "k.md"]
        assert [link.line for link in links_in("p.md", "\n\n[a](a.md)")] == [3]

    @pytest.mark.parametrize(
        ("heading", "anchor"),
        [("How good it is", "how-good-it-is"), ("`--protocol box2024`", "--protocol-box2024"), ("A, b: C/d", "a-b-cd")],
    )
    def test_anchors_are_those_of_the_site(self, heading: str, anchor: str) -> None:
        from pymdownx.slugs import slugify  # type: ignore[import-untyped]

        assert slug(heading) == anchor == slugify(case="lower")(heading.replace("`", ""), "-")

    def test_an_anchor_may_be_given(self) -> None:
        assert anchors_in("## Long words { #short }\n") == {"short"}


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        (
            "README.md",
            "[a](docs/x.md#y) [b](CONTRIBUTING.md) [c](LICENSE)",
            "[a](x.md#y) [b](contributing.md) [c](f/LICENSE)",
        ),
        ("docs/x.md", "[a](../README.md#b) ![p](pictures/p.png)", "[a](index.md#b) ![p](pictures/p.png)"),
        ("docs/t/x.md", "[a](../../README.md) [b](../y.md) [c](#here)", "[a](../index.md) [b](../y.md) [c](#here)"),
        ("docs/x.md", "`[a](../README.md)` [b](https://b.b)", "`[a](../README.md)` [b](https://b.b)"),
    ],
)
def test_links_on_the_site(page: str, text: str, expected: str) -> None:
    assert for_site(text, page, {"LICENSE": "f/LICENSE"}) == expected
