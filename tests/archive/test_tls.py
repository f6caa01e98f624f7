"""Certificates are verified, and credentials go to the PACS alone."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import requests
from pynetdicom import AE

from bedside.archive.address import Credentials
from bedside.archive.contract import Query
from bedside.archive.opening import open_archive
from bedside.core.errors import ArchiveError, InputError
from tests.support.dicom_sources import write_series
from tests.support.web_pacs import running_web_pacs


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pacs -addext subjectAltName=IP:127.0.0.1"
    made = [folder / "key.pem", folder / "cert.pem"]
    command = [program, *words.split(), "-keyout", made[0], "-out", made[1]]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text("".join(path.read_text() for path in made))
    return both


def test_a_certificate_that_nobody_vouches_for_is_rejected(certificate: Path) -> None:
    with (
        running_web_pacs(certificate) as pacs,
        open_archive(pacs.address, Credentials("ward", "secret")) as archive,
        pytest.raises(ArchiveError, match=r"a certificate that can be verified.*--ca-file"),
    ):
        archive.echo()
    assert pacs.asked == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_named_authority_is_trusted(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    if elsewhere:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.certs.where())
    else:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with running_web_pacs(certificate) as pacs:
        pacs.put(*write_series(tmp_path, (1, 4, 4)))
        with open_archive(pacs.address, Credentials("ward", "secret"), authorities=certificate) as archive:
            assert len(archive.find_studies(Query())) == 1
    assert all(path.endswith("+") for path in pacs.asked)


@pytest.mark.parametrize("known", [False, True])
def test_dimse_verifies_certificates_too(certificate: Path, known: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
    address = f"dicoms://PACS@127.0.0.1:{server.server_address[1]}"
    try:
        with open_archive(address, authorities=certificate if known else None) as archive:
            if known:
                archive.echo()
            else:
                with pytest.raises(
                    ArchiveError, match=r"TLS: expected a certificate that can be verified, got self-si"
                ):
                    archive.echo()
    finally:
        server.shutdown()


@pytest.mark.parametrize("address", ["https://127.0.0.1/dicom-web", "dicoms://PACS@127.0.0.1"])
def test_a_file_without_certificates_is_rejected(tmp_path: Path, address: str) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with (
        pytest.raises(InputError, match=r"--ca-file.*expected certificates"),
        open_archive(address, authorities=tmp_path / "x.pem"),
    ):
        pytest.fail("opened")


@pytest.mark.parametrize("credentials", [Credentials("ward", "secret"), Credentials(token="secret")])
def test_credentials_do_not_follow_to_another_host(credentials: Credentials) -> None:
    with running_web_pacs() as pacs, running_web_pacs() as other:
        pacs.moved_to = other.address.replace("127.0.0.1", "localhost").removesuffix("/dicom-web")
        with open_archive(pacs.address, credentials) as archive:
            archive.find_studies(Query())
    assert pacs.asked == ["/dicom-web/studies+"]
    assert other.asked == ["/dicom-web/studies"]
