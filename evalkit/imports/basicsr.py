"""basicsr, facexlib and realesrgan: whether they are here, and made importable."""

import importlib.util
import sys

from evalkit.paths import package_dir


def missing(package: str, user: str) -> str:
    """Say that one of the three is not installed; empty where it is.

    Parameters
    ----------
    package
        Its import name.
    user
        The subject of the sentence, which needs the package.

    """
    if package_dir(package) is not None:
        return ""
    return (
        f"{user} needs {package}, which is not installed and does not build on Python "
        "3.13 and newer; use Python 3.12"
    )


def import_basicsr() -> None:
    """Mend what keeps basicsr 1.4.2, realesrgan and facexlib from being imported.

    basicsr imports ``torchvision.transforms.functional_tensor``, which torchvision
    0.17 removed (Real-ESRGAN #777, #841). All that it takes from there,
    ``rgb_to_grayscale``, lies in ``torchvision.transforms.functional``: the old
    name is made to mean that module. Call this before importing any of the three.
    """
    gone = "torchvision.transforms.functional_tensor"
    if gone not in sys.modules and importlib.util.find_spec(gone) is None:
        sys.modules[gone] = importlib.import_module("torchvision.transforms.functional")
