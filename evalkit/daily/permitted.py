"""Which restorers may make pictures that a person keeps."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from evalkit.errors import LicenceError, WeightsError
from evalkit.restorers import Plan, plan_restorer
from evalkit.restorers._routing import ROUTES
from evalkit.weights import WeightsInUse, notice, registry, unaccepted


def permitted_plan(parameters: Mapping[str, Any]) -> Plan:
    """Plan a restorer; none that runs with random weights, or whose notice is unread.

    Of ``auto`` the restorers that may not be used are left out, and a note says so.

    Parameters
    ----------
    parameters
        As `load_restorer` takes them, the name among them.

    Raises
    ------
    LicenceError
        It needs weights, here or not, whose notice has not been accepted.
    WeightsError
        Its weights cannot be had, or were asked to be random.
    UnknownNameError, SettingError
        As in `plan_restorer`.

    """
    plan = plan_restorer(**parameters)
    if plan.spec.name != "auto":
        if error := _refusal(plan):
            raise error
        return plan
    parts = tuple(part for part in plan.parts if not _refusal(part))
    names = {part.spec.name for part in parts}
    left_out = [name for name in ROUTES.values() if name not in names]
    if not left_out:
        return plan
    used = {weights for part in parts for weights in part.weights}
    unused = {weights for part in plan.parts for weights in part.weights} - used
    note = (
        f"{' and '.join(left_out)} cannot be used, and the next best is: "
        f"{_in_short(left_out[0])}"
    )
    return replace(
        plan,
        parts=parts,
        weights=tuple(weights for weights in plan.weights if weights not in unused),
        notes=(note, *plan.notes),
    )


def notices_of(plan: Plan) -> list[str]:
    """The notices that hold for the weights of a plan, by their names."""
    names = [registry()[w.name].accept for w in plan.weights if w.name in registry()]
    return [name for name in dict.fromkeys(names) if name]


def _refusal(plan: Plan) -> WeightsError | None:
    """Why a plan may not be used, if so."""
    unread = _unread(plan.weights)
    if unread:
        return LicenceError(
            f"{plan.spec.name} runs only once you have read and accepted this: "
            f"{notice(unread).strip()} To accept it, add --accept {unread}"
        )
    if plan.weights_kind == "random":
        missing = next(w.name for w in plan.weights if w.kind == "random")
        return WeightsError(
            f"{plan.spec.name}: the weights {missing} are not here, and random ones "
            f"make noise: `evalkit weights fetch {missing}` gets them, or give a file "
            "as `weights`; `--with auto` takes the next best"
        )
    return None


def _unread(weights: Collection[WeightsInUse]) -> str | None:
    names = [w.name for w in weights if w.name in registry()]
    return next(filter(None, (unaccepted(name) for name in names)), None)


def _in_short(name: str) -> str:
    plan = plan_restorer(name)
    if unread := _unread(plan.weights):
        return f"the notice of its weights is not accepted; --accept {unread} does"
    return str(_refusal(plan))
