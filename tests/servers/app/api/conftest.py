"""An API over the run's servers, and the SDK on it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.api.main import create_app
from app.client import Client
from app.wiring import Parts


@pytest.fixture
def api(parts: Parts) -> Iterator[TestClient]:
    with TestClient(create_app(parts), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def sdk(api: TestClient) -> Client:
    client = Client()
    client._api.close()
    client._api = api
    return client
