"""What two readings of a server show: whether it restarted, and whether the pools of a database changed."""

import json

from analysis.changes import pgbouncer_changes, postgresql_changes


def sessions(number):
    """Return the rows of SHOW STATS after this number of sessions of the console."""
    return [{"database": "postgres", "total_xact_count": 0}, {"database": "pgbouncer", "total_xact_count": number}]


def reading(number=1, pools=(("odoo", "session"),), size=20, users=(), **settings):
    return {
        "SHOW STATS": sessions(number),
        "SHOW POOLS": [{"database": "postgres", "user": user, "pool_mode": mode} for user, mode in pools]
        + [{"database": "shop", "user": "odoo", "pool_mode": "transaction"}],
        "SHOW DATABASES": [{"name": "shop", "pool_size": 1}, {"name": "postgres", "pool_size": size}],
        "SHOW USERS": [{"name": name, "pool_size": own_size} for name, own_size in users],
        "SHOW CONFIG": [{"key": key, "value": value} for key, value in settings.items()],
    }


def changes(*answers):
    """Return the changes that each of the readings of one process shows: "", or their names."""
    memory, found = {}, []
    for number, answer in enumerate(answers, 1):
        memory, changed = pgbouncer_changes(answer | {"SHOW STATS": sessions(number)}, "postgres", memory)
        memory = json.loads(json.dumps(memory))
        found.append(" ".join(sorted(changed)))
    return found


def test_pool_mode():
    one, other = reading(), reading(pools=[("odoo", "transaction")])
    assert changes(one, one, other, other, one) == ["", "", "pools", "", "pools"], "once, and back"


def test_pools_that_change_together():
    one = reading(pools=[("odoo", "session"), ("other", "session")])
    other = reading(pools=[("odoo", "transaction"), ("other", "transaction")], size=5)
    assert changes(one, other, other) == ["", "pools", ""]


def test_pool_size():
    assert changes(reading(), reading(size=5), reading(size=5)) == ["", "pools", ""]
    assert changes(reading(), reading(users=[("odoo", 3)])) == ["", "pools"], "the user's own size applies"


def test_pool_that_was_gone_for_a_reading():
    """A listener connects again after a while."""
    gone, deaf = reading(pools=[]), reading(pools=[("odoo", "transaction")])
    assert changes(reading(), gone, reading()) == ["", "", ""]
    assert changes(reading(), gone, deaf) == ["", "", "pools"]


def test_unknown_is_no_change():
    unknown = reading(pools=[("odoo", None)], size=None)
    assert changes(reading(), unknown, reading()) == ["", "", ""]
    assert changes(reading(), unknown, reading(size=5)) == ["", "", "pools"]


def test_new_pool_is_no_change():
    assert changes(reading(), reading(pools=[("odoo", "session"), ("new", "transaction")])) == ["", ""]


def test_restart_of_pgbouncer():
    """The session that reads the counter counts."""
    memory, found = {}, []
    for number in (1, 2, 9, None, 9, 1, 2):
        memory, changed = pgbouncer_changes(reading(number), "postgres", memory)
        found.append(changed)
    assert found == [set(), set(), set(), set(), {"restart"}, {"restart"}, set()]


def test_processes_on_one_port():
    """They answer in turn."""

    def answer(number, peer, mode):
        return reading(number, pools=[("odoo", mode)], so_reuseport="1", peer_id=peer)

    memory, found = {}, []
    for args in ((90, "1", "session"), (7, "2", "transaction"), (91, "1", "session"), (8, "2", "session")):
        memory, changed = pgbouncer_changes(answer(*args), "postgres", memory)
        found.append(changed)
    assert found == [set(), set(), set(), {"pools"}]
    for args in ((90, "0", "session"), (7, "0", "transaction")):
        assert pgbouncer_changes(answer(*args), "postgres", memory) == (memory, set()), "unknown which of them"


def test_restart_of_postgresql():
    memory = {}
    for started_at, expected in ((10.5, set()), (10.5, set()), (None, set()), (99.25, {"restart"}), (99.25, set())):
        memory, changed = postgresql_changes({"started_at": started_at}, memory)
        assert changed == expected, started_at
