"""The C-STORE receiver: who may send, where it lands, and what a sender is told."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.presentation import build_context

from bedside import io
from bedside.archive.places import SeriesFolder
from bedside.archive.receiver import Arrival, Inbox, Receiver
from bedside.archive.syntaxes import LABELMAP, MOST, PLAIN, all_classes, retrieval_contexts, stored_syntaxes
from bedside.core.errors import InputError
from tests.support.dicom_sources import CLASSES, PLANTED, write_picture, write_series
from tests.support.orthanc import free_port


class Heard:
    """A receiver and what it told of."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.arrivals: list[Arrival] = []
        self.troubles: list[str] = []
        self.inbox = Inbox(root, self.arrivals.append, self.troubles.append)
        self.receiver = Receiver(self.inbox.handle, port=0, released=self.inbox.released, **options)


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    made = Heard(tmp_path / "in")
    with made.receiver:
        yield made


def send(port: int, *paths: Path, title: str = "SCANNER", called: str = "BEDSIDE") -> list[int]:
    """Statuses of what was sent; empty where the association was rejected."""
    entity = AE(ae_title=title)
    kinds = {pydicom.dcmread(p).SOPClassUID for p in paths} or {CLASSES["CT"]}
    contexts = [build_context(kind, list(PLAIN)) for kind in kinds]
    association = entity.associate("127.0.0.1", port, contexts=contexts, ae_title=called)
    if not association.is_established:
        return []
    statuses = [association.send_c_store(path).Status for path in paths]
    association.release()
    return statuses


def settled(heard: Heard, count: int) -> list[Arrival]:
    """Arrivals once the receiver's own thread has told of them."""
    while len(heard.arrivals) < count:
        pass
    return heard.arrivals


def test_a_series_lands_in_its_folder(heard: Heard, tmp_path: Path) -> None:
    files = write_series(tmp_path / "ct", (5, 7, 9), spacing=(0.7, 0.9, 2.5))
    assert send(heard.receiver.port, *files, write_picture(tmp_path / "us.dcm", "US")) == [0] * 6
    found = {a.folder.name.split("-")[0]: a for a in settled(heard, 2)}
    assert {kind: a.instances for kind, a in found.items()} == {"CT": 5, "US": 1}
    ours, theirs = io.read_image(tmp_path / "ct"), io.read_image(found["CT"].folder)
    np.testing.assert_array_equal(theirs.array, ours.array)
    assert theirs.geometry == ours.geometry
    names = " ".join(str(p.relative_to(tmp_path)) for p in (tmp_path / "in").rglob("*"))
    header = pydicom.dcmread(files[0])
    assert not any(str(v) in names for v in (*PLANTED.values(), header.SeriesInstanceUID, header.SOPInstanceUID))
    assert (tmp_path / "in").stat().st_mode & 0o077 == 0
    assert heard.troubles == []


def test_only_named_senders_may_send(tmp_path: Path) -> None:
    heard = Heard(tmp_path / "in", senders=["SCANNER"])
    files = write_series(tmp_path / "ct", (1, 7, 9))
    with heard.receiver:
        assert send(heard.receiver.port, *files, title="STRANGER") == []
        assert send(heard.receiver.port, *files, called="ANOTHER") == []
        assert send(heard.receiver.port, *files) == [0]


def test_a_full_disk_is_told_to_the_sender(heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SeriesFolder, "keep", full)
    assert send(heard.receiver.port, *write_series(tmp_path / "ct", (1, 7, 9))) == [0xA700]
    assert heard.troubles == ["an instance was not taken: the disk is full"]


def test_what_names_no_series_is_not_taken_and_the_next_is(heard: Heard, tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", (1, 7, 9))
    broken = pydicom.dcmread(path)
    del broken.SeriesInstanceUID
    broken.save_as(tmp_path / "broken.dcm")
    assert send(heard.receiver.port, tmp_path / "broken.dcm", path) == [0xC000, 0]
    assert heard.troubles == ["an instance that cannot be read was not taken"]


def test_a_port_that_is_taken_is_one_line(heard: Heard, tmp_path: Path) -> None:
    second = Receiver(heard.inbox.handle, port=heard.receiver.port)
    with pytest.raises(InputError, match="expected a port that is free"), second:
        pytest.fail("listens")


def test_nothing_listens_afterwards(tmp_path: Path) -> None:
    port = free_port()
    with Receiver(lambda _: 0, port=port):
        pass
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pytest.fail("listens")


class TestContexts:
    @pytest.mark.parametrize("count", [1, 2, 5, 20, 126, 127, 300])
    def test_an_association_holds_them(self, count: int) -> None:
        classes = all_classes()[:count]
        made = retrieval_contexts(classes)
        assert len(made) < MOST
        assert {str(c.abstract_syntax) for c in made} == set(classes[: MOST - 1])
        if count <= 20:
            for kind in classes:
                named = [str(s) for c in made if c.abstract_syntax == kind for s in c.transfer_syntax]
                assert sorted(named) == sorted(stored_syntaxes())

    def test_a_few_classes_have_a_context_for_each_syntax(self) -> None:
        assert all(len(c.transfer_syntax) == 1 for c in retrieval_contexts([CLASSES["CT"]]))

    def test_classes_that_are_not_told_are_the_common_ones(self) -> None:
        kinds = {str(c.abstract_syntax) for c in retrieval_contexts(["", ""])}
        assert {CLASSES["CT"], CLASSES["MR"], LABELMAP} <= kinds
