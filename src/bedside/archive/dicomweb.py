"""An archive over DICOMweb: QIDO-RS to find, WADO-RS to retrieve, STOW-RS to store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

from bedside.archive.address import NO_CREDENTIALS, Address, Credentials
from bedside.archive.contract import Instance, Keep, Query, Series, Study
from bedside.archive.failures import kind_of, trusted, unreachable, untrusted
from bedside.archive.found import filters_of, instances_of, series_of, studies_of
from bedside.archive.hush import hushed
from bedside.core.errors import ArchiveError, BedsideError, InputError, UnreachableError

CONNECT_S, READ_S = 10.0, 60.0
"""Seconds to wait for a connection, and for the next bytes on it."""
PAGE = 200
"""Results that are asked for at once."""
BLOCK = 1 << 16
"""Bytes of an answer that are waited for before they are looked at."""
WHOLE = 1 << 40
"""More bytes than a request has, so that it is sent with its length: not all servers take it in chunks."""
BUSY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
STUDY_FIELDS = (
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
SERIES_FIELDS = ("SeriesDescription", "SeriesNumber", "Modality", "NumberOfSeriesRelatedInstances")


class WebArchive:
    """A PACS that speaks DICOMweb.

    Args:
        address: Of the service.
        credentials: To be let in with.
        authorities: File of certificates to trust instead of the system's.

    Raises:
        InputError: Credentials would go over a network without encryption, or the certificates cannot be read.
    """

    def __init__(
        self, address: Address, credentials: Credentials = NO_CREDENTIALS, authorities: Path | None = None
    ) -> None:
        if credentials and not address.is_encrypted and not address.is_loopback:
            raise InputError(
                f"credentials for {address}", expected="https://", got="http://, on which anyone can read them"
            )
        import requests
        from dicomweb_client.api import DICOMwebClient

        self._address = address
        session = requests.Session()
        session.auth = _Prepared(credentials)
        session.hooks["response"].append(_watch_for_the_end)
        if authorities is not None:
            trusted(authorities)
            _trust_only(session, str(authorities))
        self._client: Any = DICOMwebClient(str(address), session=session, timeout=(CONNECT_S, READ_S), chunk_size=BLOCK)
        # Retries are the caller's: those of the library wait for half a minute on a host that does not exist.
        self._client.set_http_retry_params(retry=False)
        self._session = session

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def echo(self) -> None:
        """Ask for one study at most."""
        with self._translated("echo"):
            self._client.search_for_studies(limit=1)

    def find_studies(self, query: Query) -> list[Study]:
        """Search by QIDO-RS for studies."""
        filters = filters_of(query, "STUDY")
        asked = {keyword: _plain(value) for keyword, value in filters.items()}
        answers = self._pages(self._client.search_for_studies, asked, fields=STUDY_FIELDS)
        widened = [keyword for keyword in filters if asked[keyword] != filters[keyword]]
        return studies_of(a for a in answers if all(_fits(a, keyword, filters[keyword]) for keyword in widened))

    def find_series(self, query: Query) -> list[Series]:
        """Search by QIDO-RS for series of a study."""
        search, filters = self._client.search_for_series, filters_of(query, "SERIES")
        # The study stands in the address.
        del filters["StudyInstanceUID"]
        found = self._pages(search, filters, fields=SERIES_FIELDS, study_instance_uid=query.study)
        return series_of(found, query.study)

    def find_instances(self, series: Series) -> list[Instance]:
        """Search by QIDO-RS for the instances of a series."""
        named = {"study_instance_uid": series.study, "series_instance_uid": series.uid}
        return instances_of(self._pages(self._client.search_for_instances, {}, fields=(), **named))

    def retrieve(self, series: Series, wanted: Sequence[Instance], keep: Keep, *, whole: bool) -> None:
        """Retrieve by WADO-RS: the whole series in one answer, or instance by instance."""
        kind = (("application/dicom", "*"),)
        self._client.set_chunk_size(BLOCK)
        with self._translated("retrieving a series"):
            if whole:
                arriving = self._client.iter_series(series.study, series.uid, media_types=kind)
            else:
                arriving = (
                    self._client.retrieve_instance(series.study, series.uid, instance.uid, media_types=kind)
                    for instance in wanted
                )
            for dataset in arriving:
                with _own_errors():
                    keep(str(dataset.SOPInstanceUID), _encoded(dataset))

    def store(self, files: Sequence[Path], stored: Callable[[Path], None]) -> None:
        """Send by STOW-RS, one instance a request."""
        from pydicom import dcmread

        self._client.set_chunk_size(WHOLE)
        for file in files:
            with self._translated("storing"):
                answer = self._client.store_instances([dcmread(file)])
                if failed := answer.get("FailedSOPSequence"):
                    reason = failed[0].get("FailureReason")
                    raise ArchiveError(f"{self._address} did not take {file.name}", got=_reason(reason))
            stored(file)

    def _pages(
        self, search: Callable[..., Any], filters: Mapping[str, str], *, fields: Sequence[str], **named: str
    ) -> Iterator[Any]:
        """Yield the results as data sets, page after page; a server that knows no pages gives all at once."""
        from pydicom import Dataset

        seen: set[str] = set()
        while True:
            options = {"search_filters": dict(filters), "limit": PAGE, "offset": len(seen), **named}
            with self._translated("searching"), hushed():
                answer = search(**options, fields=list(fields) or None)
                page = [Dataset.from_json(item) for item in answer]
            # The same page again is the answer of a server that passes over "offset".
            fresh = [item for item in page if _key(item) not in seen]
            if not fresh:
                return
            seen |= {_key(item) for item in fresh}
            yield from fresh
            if len(page) < PAGE:
                return

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Turn what the libraries raise into errors of one line, which repeat nothing of the query."""
        import requests

        where = str(self._address)
        try:
            with hushed():
                yield
        except _OwnError as own:
            raise own.error from own.error.__cause__
        except BedsideError:
            raise
        except requests.exceptions.SSLError as error:
            raise untrusted(where, error) from None
        except requests.exceptions.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            raise _of_status(where, doing, status) from None
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise unreachable(where, error) from None
        except requests.exceptions.ChunkedEncodingError:
            raise UnreachableError(f"{where}: {doing}", expected="all of the answer", got="a part") from None
        except (requests.exceptions.RequestException, ValueError, KeyError, TypeError, AttributeError, EOFError) as e:
            raise ArchiveError(
                f"{where}: {doing}", expected="an answer of DICOMweb", got=f"something else ({kind_of(e)})"
            ) from None


class _OwnError(Exception):
    """Carries an error of ours past the translation of the libraries' errors."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _OwnError(error) from error


class _Prepared:
    """Adds the credentials to a request; nothing of a ``.netrc`` is taken instead.

    Wild cards are sent as they are, which RFC 3986 allows: Orthanc 1.10 does not decode what is written with ``%``.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, request: Any) -> Any:
        from requests.auth import HTTPBasicAuth

        path, _, query = request.url.partition("?")
        if query:
            request.url = f"{path}?{query.replace('%2A', '*')}"
        if self._credentials.token:
            request.headers["Authorization"] = f"Bearer {self._credentials.token}"
        elif self._credentials.user:
            named = (part.encode() for part in (self._credentials.user, self._credentials.password))
            return HTTPBasicAuth(*named)(request)
        return request


def _trust_only(session: Any, authorities: str) -> None:
    """Have a session trust the certificates of a file.

    The session's own ``verify`` is overruled by ``REQUESTS_CA_BUNDLE`` where that is set.
    """
    merge = session.merge_environment_settings
    session.merge_environment_settings = lambda *arguments: {**merge(*arguments), "verify": authorities}


def _of_status(where: str, doing: str, status: int) -> ArchiveError:
    name = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"
    got = f"{status} {name}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ArchiveError(
            f"{where} does not let us in",
            expected="valid credentials",
            got=got,
            fix="set BEDSIDE_PACS_USER and BEDSIDE_PACS_PASSWORD (or BEDSIDE_PACS_TOKEN), or give --credentials",
        )
    if status in BUSY:
        return UnreachableError(f"{where} is busy", got=got)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return ArchiveError(f"{where}: {doing}", expected="what was asked for", got=f"{got} (or no DICOMweb there)")
    return ArchiveError(f"{where}: {doing}", expected="success", got=got)


def _watch_for_the_end(response: Any, *_: Any, **__: Any) -> None:
    """Have an answer of several parts fail where it ends before its last boundary.

    The library takes what is there for a part, and pydicom reads a file that is cut off without an error.
    """
    from email.message import Message

    from requests.exceptions import ChunkedEncodingError

    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or not boundary:
        return
    end, content = f"--{boundary}--".encode(), response.iter_content

    def watched(*arguments: Any, **named: Any) -> Iterator[bytes]:
        tail = b""
        for chunk in content(*arguments, **named):
            tail = (tail + chunk)[-2 * len(end) - 64 :]
            yield chunk
        if end not in tail:
            raise ChunkedEncodingError("cut off")

    response.iter_content = watched


def _plain(value: str) -> str:
    """Return a value with a wild card for each character that an address would have to encode."""
    return re.sub(r"[^A-Za-z0-9._~*-]", "*", value)


def _fits(answer: Any, keyword: str, wanted: str) -> bool:
    """Whether an answer to a query that was widened is one to the query itself."""
    pattern = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in wanted)
    value = str(answer.get(keyword) or "")
    # A name may be written in up to three scripts, and matches by any.
    return any(re.fullmatch(pattern, part.rstrip("^"), re.IGNORECASE) for part in (value, *value.split("=")))


def _encoded(dataset: Any) -> bytes:
    from pydicom import dcmwrite

    with BytesIO() as file:
        dcmwrite(file, dataset, enforce_file_format=True)
        return file.getvalue()


def _key(item: Any) -> str:
    uids = (item.get(k) for k in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"))
    return next((str(uid) for uid in uids if uid), json.dumps(item.to_json_dict(), sort_keys=True))


def _reason(code: Any) -> str:
    return f"failure reason {int(code):#06x}" if isinstance(code, int) else "no reason"
