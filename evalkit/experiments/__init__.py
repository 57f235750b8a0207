"""What is measured beside the pictures: cost, sweeps, stability, limits, back ends."""

from evalkit.imports import lazy

__getattr__, __all__ = lazy(
    {
        "advise_concurrency": "evalkit.experiments.concurrency",
        "Sweep": "evalkit.experiments._sweep",
        "compare_backends": "evalkit.experiments.backends",
        "draw_named": "evalkit.experiments._every",
        "made_source": "evalkit.experiments._sources",
        "measure_budget": "evalkit.experiments.budget",
        "measure_concurrency": "evalkit.experiments.concurrency",
        "measure_cost": "evalkit.experiments.cost",
        "measure_experiment": "evalkit.experiments._every",
        "measure_stability": "evalkit.experiments.stability",
        "summarise_budget": "evalkit.experiments.budget",
        "summarise_concurrency": "evalkit.experiments.concurrency",
        "summarise_cost": "evalkit.experiments.cost",
        "summarise_experiments": "evalkit.experiments._sweep",
        "summarise_floors": "evalkit.experiments._floors",
        "summarise_memory": "evalkit.experiments._memory",
        "summarise_named": "evalkit.experiments._every",
        "summarise_stability": "evalkit.experiments.stability",
        "trace_memory": "evalkit.experiments._memory",
        "which_fails_first": "evalkit.experiments.budget",
    }
)
