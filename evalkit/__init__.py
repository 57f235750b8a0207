"""evalkit: loaders, profilers and steps of a study of image restorers."""

from evalkit.imports import lazy

__getattr__, __all__ = lazy(
    {
        "faces": "evalkit.faces",
        "imagesets": "evalkit.imagesets",
        "load_restorer": "evalkit.restorers",
        "metrics": "evalkit.metrics",
        "read_image": "evalkit.images",
        "restorers": "evalkit.restorers",
        "stats": "evalkit.stats",
        "study": "evalkit.study",
        "write_image": "evalkit.images",
    }
)
