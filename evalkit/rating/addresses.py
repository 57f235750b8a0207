"""Where this computer listens, and under which addresses others reach it there."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

import psutil

from evalkit.errors import StudyError

DOCUMENTATION = ("192.0.2.1", "2001:db8::1")
"""Addresses of nobody (RFC 5737, RFC 3849): the system says, without sending anything,
from which of its own it would reach them."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; on ``::`` to IPv4, too.

    Raises
    ------
    StudyError
        `port` is no port, or the system refuses the address.

    """
    if not 0 <= port <= 65_535:
        raise StudyError(f"port must be 0 to 65535; found {port}")
    name = host.strip("[]")
    try:
        family, *_ = socket.getaddrinfo(
            name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        is_dual = name == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(
            (name, port), family=family, dualstack_ipv6=is_dual
        )
    except (OSError, ValueError) as error:  # of a host that is no host's name
        reason = getattr(error, "strerror", None) or error
        raise StudyError(
            f"cannot listen on {_bracketed(name)}:{port}: {reason}; --host takes an "
            "address of this machine, --port 0 any that is free"
        ) from error
    # asyncio does not, for a socket that it did not make; a body would come 40 ms late
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return listener


def roots(listener: socket.socket, host: str, scheme: str) -> list[str]:
    """The addresses of a server, ``http://192.0.2.2:8765``, the likeliest first.

    One that listens on all addresses is named by those that others can reach: not by
    loopback, nor by link-local ones, which need a scope. Where there is none, it is
    named by ``127.0.0.1`` or ``[::1]``.
    """
    bound, port = listener.getsockname()[:2]
    names = [host.strip("[]")]
    if ip_address(bound.partition("%")[0]).is_unspecified:
        families = [listener.family]
        if listener.family == socket.AF_INET6 and not listener.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        ):
            families.insert(0, socket.AF_INET)
        names = [name for family in families for name in _own(family)]
        names = names or ["127.0.0.1" if socket.AF_INET in families else "::1"]
    return [f"{scheme}://{_bracketed(name)}:{port}" for name in names]


def is_local(root: str) -> bool:
    """Whether nobody but this computer reaches an address."""
    name = urlsplit(root).hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def check_public_url(url: str) -> str:
    """An address as a proxy or tunnel has it, without its last slash.

    Raises
    ------
    StudyError
        Not ``http://`` or ``https://`` with a host, or with more than a path behind it.

    """
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises for one that is none
    except ValueError:
        is_one = False
    if not is_one or parts.query or parts.fragment or parts.username or " " in url:
        raise StudyError(
            f"--public-url: expected https://host or https://host/path, found {url!r}"
        )
    return url.rstrip("/")


def _own(family: socket.AddressFamily) -> list[str]:
    """The own addresses of a family that others may reach, the usual one first."""
    states = psutil.net_if_stats()
    addresses = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family == family and name in states and states[name].isup
    ]
    usable = []
    for address in addresses:
        read = ip_address(address.partition("%")[0])
        if not (read.is_loopback or read.is_link_local or read.is_unspecified):
            usable.append(str(read))
    usual = _usual(family)
    return sorted(dict.fromkeys(usable), key=lambda address: address != usual)


def _usual(family: socket.AddressFamily) -> str | None:
    """The address from which this computer reaches others; None without a way out."""
    nobody = DOCUMENTATION[family == socket.AF_INET6]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((nobody, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name
