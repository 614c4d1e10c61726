"""Guard the order of the rooms, and the sizes of what is in them.

A file may name what is in its own room or in a lower one: by an import, by ``env["..."]``, by ``_inherit``, or as the
comodel of a field. A model belongs to the lowest room that gives it its ``_name``.
"""

import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADDON = "odoo.addons.pgbouncer_monitor."
ROOMS = (
    *("endpoint", "live", "listen_check", "alerts", "history"),
    *("overview", "planning", "advice", "metrics", "settings"),
)
# The lowest first. `models` without a room is its `__init__`.
LAYERS = (
    *("analysis", "planner", "advice", "probes", "fields", "tools", "odoo_internals", "recorder"),
    *(f"models.{room}" for room in ROOMS),
    *("models", "controllers"),
)
# These import nothing but themselves, the standard library, and:
LIBRARIES = {"analysis": set(), "planner": set(), "advice": set(), "probes": {"psutil", "psycopg2", "requests"}}
# Advice is the distance between what runs and what a plan would propose.
SHARED = {"advice": {"planner"}}
MAX_LINES = {"file": 400, "ClassDef": 300, "FunctionDef": 40, "AsyncFunctionDef": 40}


@cache
def sources(*suffixes):
    """Return each source file: its path from the root, and its text."""
    tops = [top for top in sorted(ROOT.iterdir()) if not top.name.startswith(".")]
    paths = [path for top in tops for path in (top, *sorted(top.rglob("*"))) if path.suffix in suffixes]
    return [(path.relative_to(ROOT), path.read_text()) for path in paths]


def layer(module):
    """Return the layer of a module, whose name is relative to the addon; None for one of tests or stack."""
    return max((name for name in LAYERS if f"{module}.".startswith(f"{name}.")), key=len, default=None)


def imports(path, tree):
    """Yield the names that a file imports. Those of the addon are relative to it, and begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.parts[: len(path.parts) - node.level] if node.level else ()
            module = ".".join(filter(None, [*package, node.module]))
            names = [f"{'.' * bool(node.level)}{module}.{alias.name}".replace("..", ".") for alias in node.names]
        else:
            continue
        yield from (f".{name.removeprefix(ADDON)}" if name.startswith(ADDON) else name for name in names)


def models_named(tree):
    """Yield the names of models that a file uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and "env" in (getattr(node.value, "id", 0), getattr(node.value, "attr", 0)):
            yield from strings(node.slice)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", 0) in ("Many2one", "One2many", "Many2many"):
            named = [keyword.value for keyword in node.keywords if keyword.arg == "comodel_name"]
            yield from (name for argument in [*node.args[:1], *named] for name in strings(argument))
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", 0) == "_inherit":
            yield from strings(node.value)


def strings(tree):
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def violations(files):
    """Return a line for each name that a file must not name.

    :param files: (path, source) of Python files
    """
    trees = [(path, layer(".".join(path.with_suffix("").parts)), ast.parse(source)) for path, source in files]
    homes = {}
    for _path, room, tree in trees:
        for node in ast.walk(tree):
            if room and isinstance(node, ast.Assign) and getattr(node.targets[0], "id", 0) == "_name":
                for name in strings(node.value):
                    homes[name] = min(homes.get(name, room), room, key=LAYERS.index)
    found = []
    for path, room, tree in trees:
        names = [(f"imports {name}", name, layer(name[1:])) for name in imports(path, tree)]
        names += [(f"names {name}", "", homes.get(name)) for name in models_named(tree)]
        for what, name, other in names if room else ():
            is_foreign = room in LIBRARIES and (
                other not in {room, *SHARED.get(room, ())}
                if name.startswith(".")
                else name.partition(".")[0] not in allowed(room)
            )
            if is_foreign or (other and LAYERS.index(other) > LAYERS.index(room)):
                found.append(f"{path} ({room}) {what}" + (f" ({other})" if other else ""))
    return found


def allowed(room):
    return sys.stdlib_module_names | LIBRARIES[room]


def oversized(files):
    """Return a line for each file, class and function that is too long."""
    found = []
    for path, source in files:
        spans = [("file", path.name, len(source.splitlines()))]
        if path.suffix == ".py":
            spans += [
                (type(node).__name__, node.name, node.end_lineno - node.lineno + 1)
                for node in ast.walk(ast.parse(source))
                if type(node).__name__ in MAX_LINES
            ]
        found += [f"{path}: {name} has {lines} lines" for kind, name, lines in spans if lines > MAX_LINES[kind]]
    return found


def test_no_file_names_a_room_above_its_own():
    found = violations(sources(".py"))
    assert not found, "\n" + "\n".join(found)


def test_nothing_is_too_long():
    found = oversized(sources(".py", ".js", ".xml", ".scss"))
    assert not found, "\n" + "\n".join(found)


def test_the_guard_sees_every_way_to_name_a_room():
    home = (Path("models/alerts/x.py"), 'class X:\n    _name = "a.b"')
    for path, source in (
        ("models/endpoint/y.py", 'def f(self):\n    self.env["a.b"]'),
        ("models/endpoint/y.py", 'def f(env):\n    env["a.b"]'),
        ("models/live/y.py", 'f = fields.Many2one("a.b")'),
        ("models/live/y.py", 'f = fields.Many2many(comodel_name="a.b")'),
        ("models/live/y.py", '_inherit = ["mail.thread", "a.b"]'),
        ("models/live/y.py", "from ..alerts import x"),
        ("models/live/y.py", "from .. import alerts"),
        ("models/live/y.py", "from ..alerts.x import X"),
        ("models/live/y.py", "from odoo.addons.pgbouncer_monitor.models.alerts import x"),
        ("tools.py", "from .models.endpoint import problems"),
        ("analysis/y.py", "import psycopg2"),
        ("analysis/y.py", "from ..probes import query"),
        ("probes/y.py", "from odoo import fields"),
        ("probes/y.py", "from ..analysis.pressure import LEVELS"),
        ("advice/y.py", "from ..analysis import joins"),
        ("planner/y.py", "from ..advice import findings"),
    ):
        assert len(violations([home, (Path(path), source)])) == 1, source
    for path, source in (
        ("models/history/y.py", 'f = fields.Many2one("a.b")'),
        ("models/alerts/y.py", "from . import x"),
        ("models/endpoint/y.py", "from ...analysis import joins\nfrom ... import tools"),
        ("models/__init__.py", "from . import settings"),
        ("advice/y.py", "from ..planner import room"),
        ("probes/y.py", "import psycopg2.errors\nfrom . import query\nfrom pathlib import Path"),
    ):
        assert violations([home, (Path(path), source)]) == [], source
