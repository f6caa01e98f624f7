from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bedside.core.errors import DependencyError, FormatError
from bedside.data.addresses import as_address, exists, open_file, read_file
from bedside.data.store import read_one
from bedside.data.store_manifest import is_sharded, read_manifest
from bedside.data.streaming import StreamedStore, Streaming
from tests.support.sharded import MakeStore, names, streamed, unpacked


def test_a_url_stays_text_and_all_else_is_a_path() -> None:
    assert as_address("s3://bucket/a/") == "s3://bucket/a"
    assert as_address("a/b/") == Path("a/b")
    assert as_address(Path("a")) == Path("a")


def test_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"content")
    assert read_file(tmp_path, "a/b") == b"content"
    assert exists(tmp_path, "a/b")
    assert not exists(tmp_path, "a/c")
    with pytest.raises(FormatError, match=r"a/c: expected a readable file"):
        read_file(tmp_path, "a/c")


def test_a_kind_of_storage_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="expected a kind of storage that can be read"):
        read_file("nowhere://bucket", "a")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of a bucket on an S3 server of our own."""
    server_module = pytest.importorskip("moto.server", reason="the S3 server of these tests comes with the extra dev")
    pytest.importorskip("s3fs", reason="s3:// is read by s3fs, which comes with the extra s3")
    import fsspec

    with pytest.MonkeyPatch.context() as patch:
        server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("stores")
        yield "s3://stores"
        server.stop()


def test_storage_that_cannot_be_reached_is_told_in_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    fsspec.filesystem("s3").clear_instance_cache()
    # A port that nobody listens on.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(FormatError, match=r"manifest\.json: expected a readable file") as caught:
        read_manifest(bucket)
    assert "\n" not in str(caught.value)
    fsspec.filesystem("s3").clear_instance_cache()


def test_a_store_in_object_storage_is_the_one_on_the_disk(sharded: MakeStore, tmp_path: Path, bucket: str) -> None:
    import fsspec

    fsspec.filesystem("s3").put(f"{sharded()}/", "stores/one/", recursive=True)
    address = as_address(f"{bucket}/one/")
    assert is_sharded(address)
    assert not is_sharded(f"{bucket}/two")
    manifest = read_manifest(address)
    assert manifest == read_manifest(sharded())
    there = StreamedStore(address, manifest, tmp_path / "there", Streaming(9 * unpacked(sharded()), 1, 0))
    here = streamed(sharded(), tmp_path / "here")
    for number in (0, 40, 80):
        assert names(there.at(number)) == names(here.at(number))
        for one, other in zip(there.at(number).items, here.at(number).items, strict=True):
            assert (one.image == other.image).all()
            assert (one.maps == other.maps).all()
    # One item is read without the rest of its shard.
    with open_file(address, manifest.shards[0].file) as file:
        assert read_one(file, 1, "shard").info.set_name == manifest.shards[0].set_name
    with pytest.raises(FormatError, match="expected a readable file"):
        read_file(address, "shards/none.npz")
