"""Catches what image decoders print about damaged data, because they return wrong pixels with it.

libjpeg and libtiff print to the descriptor of stderr and go on, and OpenCV reports no error.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_DAMAGE = re.compile(
    rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS|"
    rb"\w*Decode\w*: |JPEGLib: |Fax\w+: |tempfile\.tif: "
)
"""Starts of the lines by which libjpeg and libtiff report damage; other lines are harmless."""
_EXTRA_BYTES = re.compile(rb"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_MOST_EXTRA_BYTES = 64
"""Cameras leave some bytes before the end of a JPEG, and all pixels are right.

After damage there are more, because zeros decode to a whole image early.
"""
_STDERR = 2
_lock = threading.Lock()


@contextmanager
def decoder_messages() -> Iterator[list[str]]:
    """Catch the lines about damaged data that decoders print in the block.

    Yields a list that has these lines after the block. Anything else that is printed to stderr
    meanwhile follows after the block. Threads wait for each other here.
    """
    messages: list[str] = []
    with _lock, tempfile.TemporaryFile() as file:
        caught, stderr = file.fileno(), os.dup(_STDERR)
        os.dup2(caught, _STDERR)
        try:
            yield messages
        finally:
            os.dup2(stderr, _STDERR)
            size = os.fstat(caught).st_size
            for line in os.pread(caught, size, 0).splitlines(keepends=True) if size else ():
                if (extra := _EXTRA_BYTES.match(line)) and int(extra[1]) <= _MOST_EXTRA_BYTES:
                    continue
                if _DAMAGE.match(line):
                    messages.append(line.decode(errors="replace").strip().rstrip("."))
                else:
                    os.write(_STDERR, line)
            os.close(stderr)
