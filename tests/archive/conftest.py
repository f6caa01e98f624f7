from __future__ import annotations

from collections.abc import Iterator

import pytest

from bedside.archive.address import Credentials
from bedside.archive.contract import Archive
from bedside.archive.opening import open_archive
from tests.support.orthanc import PASSWORD, USER, Orthanc, running_orthanc

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture
def orthanc(started: Orthanc) -> Orthanc:
    """An Orthanc that holds nothing."""
    started.clear()
    return started


@pytest.fixture(params=["web", "get", "move"])
def archive(request: pytest.FixtureRequest, orthanc: Orthanc) -> Iterator[Archive]:
    """The same Orthanc by each protocol."""
    if request.param == "web":
        with open_archive(orthanc.web, Credentials(USER, PASSWORD)) as found:
            yield found
    else:
        with open_archive(orthanc.dicom, method=request.param, port=orthanc.receiver) as found:
            yield found
