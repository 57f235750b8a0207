"""Blind rating: plans, stimuli, sessions, their store, and the page for subjects."""

from evalkit.imports import lazy

__getattr__, __all__ = lazy(
    {
        "Item": "evalkit.rating.plan",
        "Session": "evalkit.rating.session",
        "Stimulus": "evalkit.rating.stimuli",
        "Store": "evalkit.rating.store",
        "export_csv": "evalkit.rating._exchange",
        "find_unfair": "evalkit.rating._fairness",
        "without": "evalkit.rating._fairness",
        "import_csv": "evalkit.rating._exchange",
        "name_stimuli": "evalkit.rating.stimuli",
        "plan_session": "evalkit.rating.plan",
        "rating_app": "evalkit.rating.server",
        "serve": "evalkit.rating.server",
        "write_stimuli": "evalkit.rating.stimuli",
    }
)
