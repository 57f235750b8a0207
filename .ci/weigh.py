"""Write above a lock what it is, what it downloads, and the disk that it takes."""

import sys
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

RANKS = {tag: rank for rank, tag in enumerate(sys_tags())}


def address(package):
    """The file that an installer would take on this machine."""
    fitting = []
    for wheel in package.get("wheels", []):
        name = wheel.get("name") or wheel["url"].rsplit("/", 1)[1]
        tags = parse_wheel_filename(name)[3] & RANKS.keys()
        if tags:
            fitting.append((min(RANKS[tag] for tag in tags), wheel["url"]))
    return min(fitting)[1] if fitting else package["sdist"]["url"]


def size(url):
    """Bytes, as the server says."""
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(response.headers["Content-Length"])


lock, n_disk_bytes = Path(sys.argv[1]), int(sys.argv[2])
pylock = Path(".venv/pylock.toml").read_text(encoding="utf-8")
packages = tomllib.loads(pylock)["packages"]
with ThreadPoolExecutor(8) as pool:
    total = sum(pool.map(size, [address(package) for package in packages]))
lock.write_text(
    "# Every version, for Python 3.11 and newer; made by `make lock`.\n"
    f"# Download: about {total / 1e9:.1f} GB the first time (Linux x86-64, PyTorch "
    "with CUDA included); later set-ups reuse uv's cache.\n"
    f"# Disk: about {n_disk_bytes / 1e9:.0f} GB in .venv, shared with uv's cache where "
    "both lie on one file system.\n" + lock.read_text(encoding="utf-8"),
    encoding="utf-8",
)
