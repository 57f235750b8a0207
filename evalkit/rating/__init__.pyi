from ._csv import export_csv as export_csv, import_csv as import_csv
from ._fairness import find_unfair as find_unfair, without as without
from ._frozen import (
    FrozenPlan as FrozenPlan,
    freeze as freeze,
    frozen_plans as frozen_plans,
)
from .items import Item as Item
from .pack import pack_session as pack_session
from .plan import (
    plan_notes as plan_notes,
    plan_session as plan_session,
)
from .saved import import_session as import_session
from .server import rating_app as rating_app, serve as serve
from .session import Session as Session
from .stimuli import (
    Stimulus as Stimulus,
    name_stimuli as name_stimuli,
    write_stimuli as write_stimuli,
)
from .store import Store as Store
