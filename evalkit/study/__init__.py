"""The steps of a study: what notebooks call and what ``make study`` runs."""

from evalkit.imports import lazy

# papermill is not needed in a kernel, nor matplotlib by whoever starts one
__getattr__, __all__ = lazy(
    {
        "Finding": "evalkit.study.doctor",
        "Run": "evalkit.study.run_folder",
        "Study": "evalkit.study.config",
        "begin": "evalkit.study.steps",
        "close_records": "evalkit.study.steps",
        "declared_parameters": "evalkit.study.parameters",
        "detectable_difference": "evalkit.study.rating",
        "diagnose": "evalkit.study.doctor",
        "open_run": "evalkit.study.run_folder",
        "plan_rating": "evalkit.study.rating",
        "rate": "evalkit.study.rating",
        "ratings_store": "evalkit.study.run_folder",
        "read_study": "evalkit.study.config",
        "record_environment": "evalkit.study.steps",
        "resolve_study": "evalkit.study.config",
        "restore": "evalkit.study.steps",
        "run_notebook": "evalkit.study.notebooks",
        "run_study": "evalkit.study.launch",
        "serve_rating": "evalkit.study.rating",
        "summarise": "evalkit.study.doctor",
        "weights_named": "evalkit.study.doctor",
    }
)
