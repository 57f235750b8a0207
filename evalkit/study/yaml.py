"""study.yaml as it is written, unchecked: quick to import for steps that read it."""

from pathlib import Path
from typing import Any

from evalkit.errors import StudyError
from evalkit.errors.schema import shown
from evalkit.errors.yaml import parse_yaml
from evalkit.paths import SHIPPED


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a file.

    Raises
    ------
    StudyError
        No such file, no keys and values, or anything that `parse_yaml` refuses.

    """
    try:
        content = parse_yaml(path, StudyError)
    except OSError as error:
        raise StudyError(
            f"expected a study file at {path}: {error.strerror}; one to begin with is "
            f"{SHIPPED / 'study.yaml'}"
        ) from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}: expected keys and values, found {shown(content)}")
    return content
