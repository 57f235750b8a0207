"""What outputs are held against: each other, references, scores, routes."""

from evalkit.imports import lazy

__getattr__, __all__ = lazy(
    {
        "analyse_scores": "evalkit.comparisons.scores",
        "assess_routing": "evalkit.comparisons.routers",
        "compare_metrics": "evalkit.comparisons.side_by_side",
        "compare_pathologies": "evalkit.comparisons.pathologies",
        "compare_side_by_side": "evalkit.comparisons.side_by_side",
        "draw_pathologies": "evalkit.comparisons.pathologies",
        "draw_scores": "evalkit.comparisons.scores",
        "route_pictures": "evalkit.comparisons.routing",
    }
)
