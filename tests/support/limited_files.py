"""Run a Python file whose own files may not grow beyond a number of bytes, as on a full disk.

Arguments: the number of bytes, the file, and its own arguments.
"""

from __future__ import annotations

import resource
import runpy
import sys

size = int(sys.argv[1])
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
