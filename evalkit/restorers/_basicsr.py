"""Real-ESRGAN's network classes: seconds to import, once for all forked workers."""

from evalkit._basicsr import import_basicsr

import_basicsr()

from basicsr.archs.rrdbnet_arch import RRDBNet  # noqa: E402
from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # noqa: E402

__all__ = ["RRDBNet", "SRVGGNetCompact"]
