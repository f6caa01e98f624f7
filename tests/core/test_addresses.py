"""Files of a folder and of object storage read alike, and what cannot be read is one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bedside.core.addresses import (
    address_name,
    as_address,
    below,
    fetched,
    read_file,
    remote_files,
)
from bedside.core.errors import DependencyError, FormatError
from tests.support.bucket import running_bucket


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with running_bucket("images") as url:
        yield url


def test_a_url_stays_text_and_all_else_is_a_path() -> None:
    assert as_address("s3://bucket/a/") == "s3://bucket/a"
    assert as_address("a/b/") == Path("a/b")
    assert as_address(Path("a")) == Path("a")


def test_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"content")
    assert read_file(tmp_path, "a/b") == b"content"
    with pytest.raises(FormatError, match=r"a/c: expected a readable file"):
        read_file(tmp_path, "a/c")


def test_a_kind_of_storage_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="expected a kind of storage that can be read"):
        read_file("nowhere://bucket", "a")


def test_what_a_table_names_is_a_url_or_lies_beside_it() -> None:
    assert below(Path("home"), "a/b.png") == Path("home/a/b.png")
    assert below(Path("home"), "s3://bucket/a.png") == "s3://bucket/a.png"
    assert [address_name(a) for a in (Path("x/a.png"), "s3://bucket/b.nii.gz")] == ["a.png", "b.nii.gz"]


def test_what_lies_here_is_not_copied(tmp_path: Path) -> None:
    with fetched(tmp_path / "a") as place:
        assert place == tmp_path / "a"


def test_what_lies_elsewhere_is_a_copy_for_a_while(bucket: str, tmp_path: Path) -> None:
    import fsspec

    storage = fsspec.filesystem("s3")
    content = {"study/a.dcm": b"one", "study/below/b.dcm": b"two", "scan.nii.gz": b"three"}
    for name, data in content.items():
        storage.pipe(f"images/{name}", data)
    with fetched(f"{bucket}/scan.nii.gz") as place:
        assert (place.name, place.read_bytes()) == ("scan.nii.gz", b"three")
    assert not place.exists()
    with fetched(f"{bucket}/study") as folder:
        found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == {"a.dcm": b"one", "below/b.dcm": b"two"}
    assert not folder.parent.exists()
    with (
        pytest.raises(FormatError, match=r"none\.png: expected a readable file") as caught,
        fetched(f"{bucket}/none.png"),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_file_that_changes_is_told_from_what_it_was(bucket: str) -> None:
    import fsspec

    storage = fsspec.filesystem("s3")
    assert remote_files(f"{bucket}/changing") == []
    storage.pipe("images/changing/a", b"before")
    before = remote_files(f"{bucket}/changing")
    assert [(name, size) for name, size, _ in before] == [("a", 6)]
    assert remote_files(f"{bucket}/changing") == before
    # By another program, and as long as it was.
    elsewhere = fsspec.filesystem("s3", skip_instance_cache=True)
    elsewhere.pipe("images/changing/a", b"after!")
    assert remote_files(f"{bucket}/changing") != before
    assert [row[0] for row in remote_files(f"{bucket}/changing/a")] == ["."]


def test_an_error_of_the_block_stays_its_own(bucket: str) -> None:
    import fsspec

    fsspec.filesystem("s3").pipe("images/sound", b"sound")
    with pytest.raises(OSError, match="of the block"), fetched(f"{bucket}/sound"):
        raise OSError("of the block")
