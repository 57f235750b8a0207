"""evalkit: loaders, profilers and steps of a study of image restorers."""

import importlib
from typing import Any

_LAZY = {
    "load_restorer": "evalkit.restorers",
    "restorers": "evalkit.restorers",
    "imagesets": "evalkit.imagesets",
    "metrics": "evalkit.metrics",
    "read_image": "evalkit.images",
    "write_image": "evalkit.images",
    "faces": "evalkit.faces",
    "study": "evalkit.study",
}

__all__ = [
    "faces",
    "imagesets",
    "load_restorer",
    "metrics",
    "read_image",
    "restorers",
    "study",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    is_module = module.__name__.rsplit(".", 1)[1] == name
    return module if is_module else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
