"""A restorer's settings as commands take them: from a condition, from a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.daily.permitted import permitted_plan
from evalkit.errors import SettingError
from evalkit.paths import atomic_path
from evalkit.restorers import Plan
from evalkit.restorers.engines.torch import n_devices


def read_parameters(file: Path) -> dict[str, Any]:
    """The settings in a file of JSON, as `load_restorer` takes them.

    Raises
    ------
    SettingError
        It cannot be read, or is no object with a name.

    """
    try:
        parameters = json.loads(file.read_bytes())
    except OSError as error:
        raise SettingError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingError(f"{file} is not JSON: {error}") from error
    if not isinstance(parameters, dict) or not isinstance(parameters.get("name"), str):
        raise SettingError(
            f"{file}: expected the settings of a restorer with its name, such as "
            f'{{"name": "lanczos", "scale": 2}}, as --save-params writes them'
        )
    return parameters


def save_parameters(file: Path, parameters: Mapping[str, Any]) -> None:
    """Write settings, for `read_parameters`."""
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")


def with_scale(parameters: Mapping[str, Any], scale: float | None) -> dict[str, Any]:
    """The settings with a scale, where one is asked for beside them.

    Raises
    ------
    SettingError
        They have another.

    """
    if scale is None:
        return dict(parameters)
    asked = parameters.get("scale", scale)
    if asked != scale:
        raise SettingError(f"scale is {asked:g} in the settings and {scale:g} beside")
    return {**parameters, "scale": int(scale) if scale == int(scale) else scale}


def plans_by_device(plan: Plan, jobs: int | None) -> list[Plan]:
    """The plan for each GPU that it may choose from, at most `jobs`; else as it is.

    Raises
    ------
    SettingError
        More `jobs` than devices.

    """
    is_free = plan.requested.get("device") == "auto" and jobs != 1
    devices = [f"cuda:{number}" for number in range(n_devices() if is_free else 0)]
    count = max(1, len(devices))
    if jobs is not None and jobs > count:
        raise SettingError(
            f"jobs: expected at most {count}, one for each device that "
            f"{plan.spec.name} may use here; found {jobs}"
        )
    if count == 1:
        return [plan]
    return [
        permitted_plan({**plan.parameters, "device": device})
        for device in devices[:jobs]
    ]
