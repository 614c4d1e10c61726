"""The part of lists.py that runs inside `odoo shell`, where ``env`` is known."""

from contextlib import closing
from functools import partial

import psycopg2
from lxml import etree
from measure import env, finish, measure, parameters

PAGE = 80


def bare_show(command):
    console = psycopg2.connect(**parameters["console"])
    console.autocommit = True
    with closing(console), console.cursor() as cursor:
        cursor.execute(command)
        return cursor.fetchall()


def bare_sessions():
    env.cr.execute("SELECT * FROM pg_stat_activity")
    return env.cr.fetchall()


def list_specification(model):
    """What the list view asks for: the columns that it shows, with the names of what they belong to."""
    arch = etree.fromstring(env[model].get_view(view_type="list")["arch"])
    names = [node.get("name") for node in arch.iter("field") if node.get("optional") != "hide"]
    relational = {"fields": {"display_name": {}}}
    return {name: relational if env[model]._fields[name].type == "many2one" else {} for name in names}


if not env["connection.endpoint"].search([("name", "=", "Bench")]):
    env["connection.endpoint"].create(parameters["endpoint"])
    env.cr.commit()


def measure_list(model):
    """Rows, and the milliseconds of the bare command, of the first page, and of all rows."""
    ask = partial(bare_show, env[model]._show_commands[0]) if model in parameters["models"] else bare_sessions
    read = partial(env[model].web_search_read, [], list_specification(model))
    return len(ask()), measure(ask), measure(partial(read, limit=PAGE)), measure(read)


finish({model: measure_list(model) for model in [*parameters["models"], "pg.stat.activity"]})
