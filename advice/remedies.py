"""Lines to paste, of which remedies are made."""

from .findings import Step


def set_pgbouncer(console, **settings):
    """Return the Step that changes settings of PgBouncer."""
    is_reloadable = console.reloadable.issuperset(settings)
    lines = tuple(f"{name} = {value}" for name, value in settings.items())
    return Step("pgbouncer", lines, "reload" if is_reloadable else "restart")


def set_databases(databases, apply="reload", **options):
    """Return the Step that changes options of the lines of databases.

    :param databases: names
    """
    text = " ".join(f"{name}={value}" for name, value in options.items())
    return Step("databases", tuple(f"{name} = {text}" for name in databases), apply)


def set_odoo(**options):
    """Return the Step that changes options of odoo.conf."""
    return Step("odoo", tuple(f"{name} = {value}" for name, value in options.items()), "odoo")


def run_psql(*lines, apply=""):
    """Return the Step that runs statements as a superuser of PostgreSQL."""
    return Step("psql", lines, apply)
