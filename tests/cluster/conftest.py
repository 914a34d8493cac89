"""An S3 of the tests' own."""

import importlib

import pytest
from character3d.launcher.server import find_free_port


@pytest.fixture(scope="session")
def s3():
    """A server that speaks S3, with a bucket; its URL."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    port = find_free_port()
    server = moto.ThreadedMotoServer("127.0.0.1", port)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        importlib.import_module("fsspec").filesystem("s3").mkdir("bucket")
        yield "s3://bucket/jobs"
    server.stop()
