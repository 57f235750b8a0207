"""YAML that people write: read from bytes, every mistake told in a line."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import StudyError
from evalkit.errors.schema import shown
from evalkit.paths import SHIPPED


class _Loader(yaml.SafeLoader):
    """Plain values only; a key is a text, and stands once."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for place, key in enumerate(keys):
                mark = node.value[place][0].start_mark
                if not isinstance(key, str):
                    problem = f"expected a text as key, found {key!r}"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
                if key in keys[:place]:
                    problem = f"the key {key!r} stands there twice; keep one"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a file, in UTF-8 with a mark of it or without.

    Raises
    ------
    StudyError
        No such file, another encoding, no YAML, one nested too deep, a key that is no
        text or stands there twice, a value that cannot be read, no keys and values.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(
            f"expected a study file at {path}: {error.strerror}; one to begin with is "
            f"{SHIPPED / 'study.yaml'}"
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _encoding(path, f"byte {error.start + 1} is none of it") from error
    if "\0" in text:  # UTF-16 without its mark passes for UTF-8
        raise _encoding(path, "it holds zero bytes, as UTF-16 does")
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise StudyError(f"{path} is not YAML: {where}{error.problem}") from error
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise StudyError(f"{path} is not YAML: {told}") from error
    except RecursionError as error:
        raise StudyError(
            f"{path} is nested too deep: expected keys with values or lists of them"
        ) from error
    except ValueError as error:  # a number of thousands of digits, a 13th month
        raise StudyError(f"{path}: a value that cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}: expected keys and values, found {shown(content)}")
    return content


def _encoding(path: Path, found: str) -> StudyError:
    return StudyError(
        f"{path}: expected text in UTF-8, found another encoding ({found}); save it as "
        "UTF-8"
    )
