from .backends import compare_backends as compare_backends
from .budget import (
    measure_budget as measure_budget,
    summarise_budget as summarise_budget,
    which_fails_first as which_fails_first,
)
from .concurrency import (
    advise_concurrency as advise_concurrency,
    measure_concurrency as measure_concurrency,
    summarise_concurrency as summarise_concurrency,
)
from .cost import measure_cost as measure_cost, summarise_cost as summarise_cost
from ._floors import (
    BUSY as BUSY,
    MEMORY as MEMORY,
    TIME as TIME,
    UNITS as UNITS,
    summarise_floors as summarise_floors,
)
from ._memory import summarise_memory as summarise_memory, trace_memory as trace_memory
from .stability import (
    measure_stability as measure_stability,
    summarise_stability as summarise_stability,
)
from ._every import (
    draw_named as draw_named,
    measure_experiment as measure_experiment,
    summarise_named as summarise_named,
)
from ._sources import made_source as made_source
from ._sweep import (
    Sweep as Sweep,
    summarise_experiments as summarise_experiments,
)
