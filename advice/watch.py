"""How this addon watches."""

from .findings import Finding, Unknown
from .snapshot import known

# An endpoint without a sample for that many intervals has the level unknown; after the other one, the sampler does not
# run late, but not at all.
LATE, STOPPED = 3, 60


def _address(server):
    """Return the address of a server, to put into words. A port is no number there, which would get separators."""
    return {"host": server.host, "port": str(server.port)}


def sampler_off(snapshot):
    """Without samples there is no history, and no alert opens. Not if another database samples the same servers."""
    watch = snapshot.watch
    if known(watch.is_sampler_on, "postgresql") or known(watch.others, "postgresql"):
        return
    if not watch.is_complete:
        raise Unknown("databases", {"limit": watch.limit})
    yield Finding("sampler_off", "critical")


def sampler_late(snapshot):
    """The sampler is a scheduled action: it runs if a cron worker of an Odoo server that serves this database is free.
    With ``max_cron_threads = 0`` a server has none."""
    watch = snapshot.watch
    if not known(watch.is_sampler_on, "postgresql"):
        return
    age = known(watch.sample_age, "postgresql")
    if age > LATE * watch.interval:
        has_cron = snapshot.odoo.max_cron_threads > 0
        level = "critical" if age > STOPPED * watch.interval else "warning"
        evidence = {"interval": watch.interval} | ({} if has_cron else {"max_cron_threads": 0})
        figures = {"minutes": round(age / 60)}
        yield Finding("sampler_late" if has_cron else "sampler_late_cron", level, evidence=evidence, figures=figures)


def unwatched_postgresql(snapshot):
    """An archived endpoint is not sampled."""
    if not known(snapshot.watch.is_postgresql_on, "postgresql"):
        yield Finding("unwatched_postgresql", "warning")


def own_address(snapshot):
    """A reading over Odoo's own connection waits in the pool that it should watch (docs/history.md, "PostgreSQL through
    its own address")."""
    watch = snapshot.watch
    if not known(watch.is_postgresql_on, "postgresql"):
        return
    if watch.address_error:
        yield Finding("own_address_error", "warning", figures={"error": watch.address_error})
    elif known(snapshot.odoo.is_pooled, "postgresql") and not known(watch.has_address, "postgresql"):
        yield Finding("own_address", "warning", evidence=_address(snapshot.odoo))


def unwatched_pooler(snapshot):
    """PostgreSQL does not see the clients that wait in a pool; only the console of its PgBouncer does."""
    odoo = snapshot.odoo
    if known(odoo.is_pooled, "postgresql") and odoo.route is None:
        for console in snapshot.consoles.values():
            known(console.is_answering or None, "console", name=console.name)
        yield Finding("unwatched_pooler", "warning", evidence=_address(odoo))


def twins(snapshot):
    """What one process reports would count twice, for example in the sum of the pools."""
    for keys in snapshot.watch.twins:
        names = sorted(snapshot.consoles[key].name for key in keys)
        yield Finding("twins", "warning", min(keys), evidence={"endpoints": ", ".join(names)})


def shared_port(console, _snapshot):
    """PgBouncer's manual, so_reuseport: the kernel distributes connections to the processes that listen on the port."""
    if known(console.is_shared_port, "processes", name=console.name):
        yield Finding("shared_port", "warning", console.key, (), "so_reuseport", _address(console))


def watched_twice(snapshot):
    """One database with this addon can watch all servers of a cluster (docs/hosting.md)."""
    watch = snapshot.watch
    if not known(watch.is_sampler_on, "postgresql"):
        return
    if others := known(watch.others, "postgresql"):
        yield Finding("watched_twice", "hint", figures={"others": ", ".join(sorted(others))})
    elif not watch.is_complete:
        raise Unknown("databases", {"limit": watch.limit})


CONSOLE_RULES = (shared_port,)
RULES = (
    sampler_off,
    sampler_late,
    unwatched_postgresql,
    own_address,
    unwatched_pooler,
    twins,
    watched_twice,
)
