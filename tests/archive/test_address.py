"""Addresses, and credentials that no message repeats."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bedside.archive.address import Credentials, check_title, find_credentials, parse_address
from bedside.archive.opening import open_archive
from bedside.core.errors import InputError

SECRET = "a-secret-word"


@pytest.mark.parametrize(
    ("text", "shown", "web", "encrypted", "loopback"),
    [
        ("https://pacs.ward/dicom-web/", "https://pacs.ward:443/dicom-web", True, True, False),
        ("http://127.0.0.1:8042/dicom-web", "http://127.0.0.1:8042/dicom-web", True, False, True),
        ("http://[::1]:8042", "http://[::1]:8042", True, False, True),
        ("dicom://ORTHANC@localhost:4242", "dicom://ORTHANC@localhost:4242", False, False, True),
        ("dicoms://MAIN_PACS@pacs.ward", "dicoms://MAIN_PACS@pacs.ward:2762", False, True, False),
    ],
)
def test_addresses(text: str, shown: str, web: bool, encrypted: bool, loopback: bool) -> None:
    found = parse_address(text)
    assert (str(found), found.is_web, found.is_encrypted, found.is_loopback) == (shown, web, encrypted, loopback)
    assert parse_address(shown) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "pacs", "ftp://a/b", "https://", "https://a/b?c=d", "https://a:port/b", "dicom://a:104", "https://w@a/b"),
        *(f"https://ward:{SECRET}@a/b", f"dicom://A:{SECRET}@b:104", "dicom://A@b:104/c", f"dicom://{'A' * 17}@b:104"),
    ],
)
def test_what_is_no_address_is_rejected_without_repeating_a_secret(text: str) -> None:
    with pytest.raises(InputError, match="address of the PACS: expected") as caught:
        parse_address(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("title", ["", " A", "A" * 17, "A\\B", "Ä", "A\n"])
def test_ae_titles(title: str) -> None:
    assert check_title("MAIN PACS_1", "--aet") == "MAIN PACS_1"
    with pytest.raises(InputError, match="1 to 16 plain characters"):
        check_title(title, "--aet")


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


class TestCredentials:
    def test_of_the_environment(self) -> None:
        pair = {"BEDSIDE_PACS_USER": "ward", "BEDSIDE_PACS_PASSWORD": SECRET}
        assert find_credentials(None, pair) == Credentials("ward", SECRET)
        assert find_credentials(None, {"BEDSIDE_PACS_TOKEN": SECRET}) == Credentials(token=SECRET)
        assert not find_credentials(None, {})

    def test_of_a_file(self, tmp_path: Path) -> None:
        file = write(tmp_path / "c.toml", f'user = "ward"\npassword = "{SECRET}"\n')
        assert find_credentials(file, {"BEDSIDE_PACS_TOKEN": "x"}) == Credentials("ward", SECRET)

    def test_they_show_nowhere(self) -> None:
        assert SECRET not in repr(Credentials("ward", SECRET, SECRET)) + str(Credentials("ward", SECRET, SECRET))

    @pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
    @pytest.mark.parametrize(
        "bit", [stat.S_IRGRP, stat.S_IWGRP, stat.S_IXGRP, stat.S_IROTH, stat.S_IWOTH, stat.S_IXOTH]
    )
    def test_a_file_that_others_may_touch_is_rejected(self, tmp_path: Path, bit: int) -> None:
        file = write(tmp_path / "c.toml", f'token = "{SECRET}"', 0o600 | bit)
        with pytest.raises(InputError, match=r"its owner alone may read.*chmod 600"):
            find_credentials(file, {})

    @pytest.mark.parametrize(
        "text",
        [
            *(f'user = "{SECRET}"', f'password = "{SECRET}"', f"token = {SECRET}", f'[a]\nb = "{SECRET}"', "token = 1"),
            *(f'user = "a"\npassword = "b"\ntoken = "{SECRET}"', f'user = "a:b"\npassword = "{SECRET}"', "\xff"),
        ],
    )
    def test_half_and_other_files_are_rejected_without_repeating_them(self, tmp_path: Path, text: str) -> None:
        file = write(tmp_path / "c.toml", text)
        with pytest.raises(InputError) as caught:
            find_credentials(file, {})
        assert SECRET not in str(caught.value)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="a file that can be read"):
            find_credentials(tmp_path / "none", {})

    @pytest.mark.parametrize("address", ["http://pacs.ward/dicom-web", "dicom://A@pacs.ward:104"])
    def test_they_are_never_sent_where_anyone_can_read_them(self, address: str) -> None:
        pytest.importorskip("pynetdicom")
        with pytest.raises(InputError, match="credentials for"), open_archive(address, Credentials("ward", SECRET)):
            pytest.fail("opened")
