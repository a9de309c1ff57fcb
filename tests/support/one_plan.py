"""Carry out one plan in its own process, to be killed: its folder is the argument, plan and address are on stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.aws.connection import Clients, Connection
from core.aws.execute import execute, journal_in
from core.plans.plan import Plan

given = json.load(sys.stdin)
execute(
    Clients(Connection(**given["connection"])),
    Plan.from_dict(given["plan"]),
    journal=journal_in(Path(sys.argv[1]), "ada"),
)
