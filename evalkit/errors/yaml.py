"""YAML that people write: read from bytes and checked; a mistake is one line."""

from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from evalkit.errors import EvalkitError
from evalkit.errors.schema import problems

T = TypeVar("T")


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


def read_registry(
    path: Path, model: type[T], what: str, error: type[EvalkitError]
) -> T:
    """Read a file as pydantic checks it.

    Parameters
    ----------
    model
        A dataclass; its ``__pydantic_config__`` holds for the dataclasses in it, too.
    what
        What the file should be, as in "is not a registry of weights".

    Raises
    ------
    OSError
        It cannot be read.
    EvalkitError
        An `error`: as `parse_yaml`, an unknown key, a value of the wrong kind.

    """
    from pydantic import TypeAdapter, ValidationError

    content = parse_yaml(path, error, what)
    try:
        return TypeAdapter(model).validate_python(content)
    except ValidationError as invalid:
        places = "; ".join(problems(invalid, content, model))
        raise error(f"{path} is not {what}: {places}") from invalid


def refuse_repeated(
    path: Path, names: Iterable[str], error: type[EvalkitError]
) -> None:
    """Raise `error` for a file that gives one name to two things."""
    counts = Counter(names)
    repeated = sorted(name for name in counts if counts[name] > 1)
    if repeated:
        raise error(f"{path} names twice: {', '.join(repeated)}")


def parse_yaml(path: Path, error: type[EvalkitError], what: str = "YAML") -> Any:
    """The content of a file, in UTF-8 with its mark or without.

    Raises
    ------
    OSError
        It cannot be read.
    EvalkitError
        An `error`: another encoding, no YAML, one nested too deep, a key that is no
        text or stands there twice, a value that cannot be read.

    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if "\0" in text:  # UTF-16 without its mark passes for UTF-8
            raise _encoding(path, "it holds zero bytes, as UTF-16 does", error)
        return yaml.load(text, Loader=_Loader)
    except UnicodeDecodeError as invalid:
        problem = f"byte {invalid.start + 1} is none of it"
        raise _encoding(path, problem, error) from invalid
    except yaml.MarkedYAMLError as invalid:
        mark = invalid.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise error(f"{path} is not {what}: {where}{invalid.problem}") from invalid
    except yaml.YAMLError as invalid:
        problem = " ".join(str(invalid).split())
        raise error(f"{path} is not {what}: {problem}") from invalid
    except RecursionError as invalid:
        raise error(
            f"{path} is nested too deep: expected keys with values or lists of them"
        ) from invalid
    except EvalkitError:
        raise
    except ValueError as invalid:  # a number of thousands of digits, a 13th month
        raise error(f"{path}: a value that cannot be read: {invalid}") from invalid


def _encoding(path: Path, problem: str, error: type[EvalkitError]) -> EvalkitError:
    return error(
        f"{path}: expected text in UTF-8, found another encoding ({problem}); save it "
        "as UTF-8"
    )
