"""The files of the Planner have no finding about one PgBouncer."""

import re
from dataclasses import replace

from addon.advice.snapshot import Odoo
from addon.planner import configuration, sizing
from consoles import NEW, console, found, pool, row
from plans import many_plans


def planned(inputs, text):
    """Return the Console of a planned pgbouncer.ini."""
    settings = dict(re.findall(r"^(\w+) = (.*)$", text.split("[pgbouncer]")[1], re.MULTILINE))
    lines = dict(re.findall(r"^(\S+) = (host=.*)$", text, re.MULTILINE))
    lines["shop"] = lines.pop("*", "")
    rows = []
    for name, line in lines.items():
        mode = re.search(r"pool_mode=(\w+)", line)
        rows.append(row(name, pool_mode=mode and mode[1]))
    modes = {entry["name"]: entry["pool_mode"] or settings["pool_mode"] for entry in rows}
    return console(
        settings | (NEW if inputs.version > 24 else {}),
        version=(1, inputs.version, 0),
        databases=rows,
        pools=[pool(name, mode=mode) for name, mode in modes.items()],
        here=frozenset(modes),
        clients=[{"database": "shop", "addr": "192.0.2.1"}],
    )


def test_planned_files_have_no_finding():
    count = 0
    for inputs in many_plans():
        proposal = sizing.propose(inputs)
        if proposal.figures["default_pool_size"].value is None:
            continue
        for version in (15, 18, 24, 26):
            count += 1
            planned_for = replace(inputs, version=version)
            text = configuration.files(planned_for, proposal)["pgbouncer.ini"]
            odoo = Odoo(
                database="shop",
                workers=inputs.workers,
                max_cron_threads=inputs.max_cron_threads,
                has_alt=inputs.bus == "alt",
                is_alt_set=inputs.bus == "alt",
                has_job_runner=inputs.has_queue_job,
                is_job_runner_pooled=False,
            )
            assert found(planned(planned_for, text), odoo=odoo) == ({}, []), planned_for
    assert count > 200
