"""The steps of a study: what notebooks call and what ``make study`` runs."""

from evalkit._lazy import lazy

# papermill is not needed in a kernel, nor matplotlib by whoever starts one
__getattr__, __all__ = lazy(
    {
        "Finding": "evalkit.study._doctor",
        "Run": "evalkit.study._run",
        "Study": "evalkit.study._config",
        "begin": "evalkit.study._steps",
        "close_records": "evalkit.study._steps",
        "compare_metrics": "evalkit.study._compare",
        "compare_side_by_side": "evalkit.study._compare",
        "declared_parameters": "evalkit.study._parameters",
        "diagnose": "evalkit.study._doctor",
        "measure_cost": "evalkit.study._steps",
        "read_study": "evalkit.study._config",
        "record_environment": "evalkit.study._steps",
        "resolve_study": "evalkit.study._config",
        "restore": "evalkit.study._steps",
        "run_notebook": "evalkit.study._notebooks",
        "run_study": "evalkit.study._launch",
        "summarise_cost": "evalkit.study._steps",
    }
)
