"""Shared by the tests of restorers: a network is converted once, not for each test."""

import pytest


@pytest.fixture(scope="session")
def converted_networks(tmp_path_factory):
    """The cache folder in which OpenVINO's converted networks of this session lie."""
    return tmp_path_factory.mktemp("converted") / "cache"


@pytest.fixture
def shared_cache(_own_folders, converted_networks, monkeypatch):
    """Use that cache folder instead of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(converted_networks))
