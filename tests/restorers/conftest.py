"""Shared by the tests of restorers: a network is converted once, not for each test."""

import os

import pytest


@pytest.fixture(scope="session")
def converted_networks(tmp_path_factory):
    """The cache folder of this session's converted networks, one for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return folder / "converted-networks"


@pytest.fixture
def shared_cache(_own_folders, converted_networks, monkeypatch):
    """Use that cache folder instead of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(converted_networks))
