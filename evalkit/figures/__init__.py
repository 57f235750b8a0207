"""The figures of the study: arrays, tables and records in, matplotlib figures out."""

from evalkit.imports import lazy

# matplotlib takes long to import, and a step without a figure does not need it
__getattr__, __all__ = lazy(
    {
        "CROP_RULE": "evalkit.figures._crop",
        "MAX_CONDITIONS": "evalkit.figures._pictures",
        "Crop": "evalkit.figures._crop",
        "agreement": "evalkit.figures._ratings",
        "backends": "evalkit.figures._backends",
        "contact_sheet": "evalkit.figures._pictures",
        "crop_box": "evalkit.figures._crop",
        "cut": "evalkit.figures._crop",
        "face_parts": "evalkit.figures._face_parts",
        "forest": "evalkit.figures._ratings",
        "frontier": "evalkit.figures._limits",
        "instances": "evalkit.figures._limits",
        "memory": "evalkit.figures._cost",
        "on_screen": "evalkit.figures._screen",
        "pathology_maps": "evalkit.figures._pathologies",
        "save": "evalkit.figures._style",
        "score_distribution": "evalkit.figures._ratings",
        "series": "evalkit.figures._spread",
        "show": "evalkit.figures._screen",
        "shrunk": "evalkit.figures._screen",
        "side_by_side": "evalkit.figures._pictures",
        "subjects": "evalkit.figures._ratings",
        "sweeps": "evalkit.figures._spread",
        "timeline": "evalkit.figures._spread",
        "wall_times": "evalkit.figures._cost",
        "win_matrix": "evalkit.figures._ratings",
    }
)
