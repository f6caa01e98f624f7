from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bedside.core.addresses import as_address, open_file, read_file
from bedside.core.errors import FormatError
from bedside.data.store import read_one
from bedside.data.store_manifest import is_sharded, read_manifest
from bedside.data.streaming import StreamedStore, Streaming
from tests.support.bucket import running_bucket
from tests.support.sharded import MakeStore, names, streamed, unpacked


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with running_bucket("stores") as url:
        yield url


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
