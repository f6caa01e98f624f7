"""A bucket on an S3 server of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def running_bucket(name: str) -> Iterator[str]:
    """Yield the URL of an empty bucket, which is gone at the end; skips where the server is not installed."""
    server_module = pytest.importorskip("moto.server", reason="the S3 server of these tests comes with the extra dev")
    pytest.importorskip("s3fs", reason="s3:// is read by s3fs, which comes with the extra s3")
    import fsspec

    with pytest.MonkeyPatch.context() as patch:
        server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            fsspec.filesystem("s3").clear_instance_cache()
            fsspec.filesystem("s3").mkdir(name)
            yield f"s3://{name}"
        finally:
            server.stop()
            fsspec.filesystem("s3").clear_instance_cache()
