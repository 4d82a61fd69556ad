# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The loopback Hub with two accounts, and a client of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_client import Client
from loopback_hub import LoopbackHub
from training_helpers import write_metadata, write_recordings


@pytest.fixture(scope="session")
def served_hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_user("ada")
        hub.add_user("eve")
        yield hub


@pytest.fixture(scope="session")
def client(served_hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One for all tests. Whatever they did, no token is in its output."""
    client = Client(served_hub.endpoint, tmp_path_factory.mktemp("client"))
    yield client
    client.close()
    output = client.output()
    assert "Send: curl" in output  # it did log what it sent
    assert not any(token in output for token in served_hub.users)


@pytest.fixture
def hub(served_hub: LoopbackHub) -> Iterator[LoopbackHub]:
    """An empty Hub. Whatever a test did, tokens came in the header made for them, and nothing was left unanswered."""
    served_hub.repositories.clear()
    served_hub.requests.clear()
    served_hub.unknown.clear()
    served_hub.faults.clear()
    served_hub.part_size = 5_000_000
    yield served_hub
    assert served_hub.unknown == []
    assert not any(request.shows_token for request in served_hub.requests)
    stored = [content for repository in served_hub.repositories.values() for content in _contents(repository)]
    assert not any(token.encode() in content for token in served_hub.users for content in stored)


def _contents(repository) -> list[bytes]:
    files = [file.content for commit in repository.commits.values() for file in commit.files.values()]
    return [*files, *repository.large_contents.values()]


@pytest.fixture
def ada(served_hub: LoopbackHub) -> str:
    """The token of the account `ada`."""
    return _token(served_hub, "ada")


@pytest.fixture
def eve(served_hub: LoopbackHub) -> str:
    """The token of the account `eve`."""
    return _token(served_hub, "eve")


def _token(hub: LoopbackHub, user: str) -> str:
    return next(token for token, name in hub.users.items() if name == user)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_metadata(write_recordings(tmp_path / "recordings"))
