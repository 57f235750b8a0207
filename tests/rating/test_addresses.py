"""Under which addresses others reach a server."""

import socket

import pytest

from evalkit.errors import StudyError
from evalkit.rating import addresses


def reachable(monkeypatch, *pairs):
    """Let this computer have these addresses, by their interface."""
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    entry = type("Entry", (), {})
    entries = {}
    for name, address in pairs:
        one = entry()
        one.family, one.address = families[":" in address], address
        entries.setdefault(name, []).append(one)
    states = {name: type("State", (), {"isup": name != "down0"}) for name in entries}
    monkeypatch.setattr(addresses.psutil, "net_if_addrs", lambda: entries)
    monkeypatch.setattr(addresses.psutil, "net_if_stats", lambda: states)


LAPTOP = (
    ("lo", "127.0.0.1"),
    ("lo", "::1"),
    ("down0", "10.9.9.9"),
    ("wlan0", "192.168.1.23"),
    ("wlan0", "fe80::1%wlan0"),
    ("wlan0", "2001:db8::23"),
    ("eth0", "169.254.7.7"),
    ("tun0", "10.8.0.2"),
)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["[::1]"]),
        ("[::1]", ["[::1]"]),
        ("localhost", ["localhost"]),
        ("0.0.0.0", ["192.168.1.23", "10.8.0.2"]),
        ("::", ["192.168.1.23", "10.8.0.2", "[2001:db8::23]"]),
    ],
)
def test_a_server_is_named_by_the_addresses_that_others_reach(monkeypatch, host, names):
    reachable(monkeypatch, *LAPTOP)
    with addresses.listen(host, 0) as listener:
        port = listener.getsockname()[1]
        expected = [f"http://{name}:{port}" for name in names]
        assert addresses.roots(listener, host, "http") == expected


def test_the_address_from_which_others_are_reached_comes_first(monkeypatch):
    reachable(monkeypatch, *LAPTOP)
    monkeypatch.setattr(addresses, "_usual", lambda _: "10.8.0.2")
    with addresses.listen("0.0.0.0", 0) as listener:
        first, second = addresses.roots(listener, "0.0.0.0", "http")
    assert first.startswith("http://10.8.0.2:")
    assert second.startswith("http://192.168.1.23:")


def test_a_computer_without_a_network_is_named_by_loopback(monkeypatch):
    reachable(monkeypatch, ("lo", "127.0.0.1"))
    with addresses.listen("0.0.0.0", 0) as listener:
        (root,) = addresses.roots(listener, "0.0.0.0", "https")
    assert root.startswith("https://127.0.0.1:")
    assert addresses.is_local(root)


@pytest.mark.parametrize(
    "url",
    ["https://rate.example", "https://rate.example/panel/", "http://[fd00::1]:8765"],
)
def test_a_public_address_is_kept_without_its_last_slash(url):
    assert addresses.check_public_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["rate.example", "ftp://rate.example", "https://", "https://a b", "https://a#b"],
)
def test_what_is_no_public_address_is_refused(url):
    with pytest.raises(StudyError, match="--public-url: expected https://host"):
        addresses.check_public_url(url)
