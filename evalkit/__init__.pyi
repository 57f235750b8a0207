from . import (
    faces as faces,
    imagesets as imagesets,
    metrics as metrics,
    restorers as restorers,
    stats as stats,
    study as study,
)
from .daily.compare import compare as compare
from .daily.playground import playground as playground
from .images import read_image as read_image, write_image as write_image
from .restorers import load_restorer as load_restorer
