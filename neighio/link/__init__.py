"""Where frames come from and go to: AF_PACKET (``packet``), a TAP device (``tap``), an in-memory segment
(``memory``).

The contract alone is imported here: who only needs to know what a link is loads neither trio nor ctypes.
"""

from __future__ import annotations

from .base import FrameTooLong as FrameTooLong
from .base import Link as Link
from .base import LinkBusy as LinkBusy
from .base import LinkDown as LinkDown
from .base import LinkFacts as LinkFacts
from .base import LinkGone as LinkGone
from .base import Selection as Selection
