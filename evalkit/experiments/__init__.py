"""What is measured beside the pictures: cost, sweeps, stability, limits, back ends."""

from evalkit.imports import lazy

__getattr__, __all__ = lazy(
    {
        "advise_concurrency": "evalkit.experiments.concurrency",
        "compare_backends": "evalkit.experiments.backends",
        "measure_budget": "evalkit.experiments.budget",
        "measure_concurrency": "evalkit.experiments.concurrency",
        "measure_cost": "evalkit.experiments.cost",
        "measure_experiment": "evalkit.experiments.sweeps",
        "measure_stability": "evalkit.experiments.stability",
        "summarise_budget": "evalkit.experiments.budget",
        "summarise_concurrency": "evalkit.experiments.concurrency",
        "summarise_cost": "evalkit.experiments.cost",
        "summarise_experiments": "evalkit.experiments.sweeps",
        "summarise_floors": "evalkit.experiments.floors",
        "summarise_memory": "evalkit.experiments.memory",
        "summarise_stability": "evalkit.experiments.stability",
        "trace_memory": "evalkit.experiments.sweeps",
        "which_fails_first": "evalkit.experiments.budget",
    }
)
