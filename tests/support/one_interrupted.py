"""Finish an interrupted change, or clean up after it, in its own process.

Arguments: the journal's folder, and "finish" or "clean up"; the connection is JSON on stdin. The process reads the
change and makes its plan, prints "ready", and acts after another line on stdin. Its last line is the result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.aws.connection import Clients, Connection
from core.aws.execute import clean_up_interrupted, journal_in, resume
from core.errors import CoreError
from core.plans.delete import clean_up

folder, action = Path(sys.argv[1]), sys.argv[2]
clients = Clients(Connection(**json.loads(sys.stdin.readline())))
journal = journal_in(folder, action)
(entry,) = journal.unfinished()
shown = clean_up(entry.plan, entry.states)
print("ready", flush=True)
sys.stdin.readline()
try:
    if action == "finish":
        resume(clients, journal, entry)
    else:
        clean_up_interrupted(clients, journal, entry, shown)
except CoreError as error:
    print(f"refused: {error}", flush=True)
else:
    print("carried out", flush=True)
