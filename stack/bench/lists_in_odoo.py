"""The part of lists.py that runs in `odoo shell`, which provides ``env``."""

from contextlib import closing
from functools import partial

import psycopg2
from measure import PAGE, env, finish, list_specification, measure, parameters, watch


def bare_show(command):
    console = psycopg2.connect(**parameters["console"])
    console.autocommit = True
    with closing(console), console.cursor() as cursor:
        cursor.execute(command)
        return cursor.fetchall()


def bare_sessions():
    env.cr.execute("SELECT * FROM pg_stat_activity")
    return env.cr.fetchall()


def measure_list(model):
    """Return the number of rows, and the milliseconds of the bare command, of the first page and of all rows."""
    query = partial(bare_show, env[model]._show_commands[0]) if model in parameters["models"] else bare_sessions
    read = partial(env[model].web_search_read, [], list_specification(model))
    return len(query()), measure(query), measure(partial(read, limit=PAGE)), measure(read)


watch()
finish({model: measure_list(model) for model in [*parameters["models"], "pg.stat.activity"]})
