"""What holds a pool back, by what its console shows."""

import pytest

from analysis.bottleneck import bottleneck, pool_size, servers, servers_of_users

POOL = {"cl_waiting": 2, "sv_active": 3, "sv_idle": 0, "sv_used": 0, "sv_tested": 0, "sv_login": 0}
DATABASE = {"pool_size": 3, "reserve_pool_size": 0, "max_connections": 0, "current_connections": 3}


def held_back(pool=(), database=(), user=(), of_user=3, settings=(), state="active"):
    return bottleneck(POOL | dict(pool), DATABASE | dict(database), dict(user), of_user, dict(settings), state)


@pytest.mark.parametrize(
    "changes, found",
    [
        ({}, "pool_size"),
        ({"pool": {"cl_waiting": 0}}, None),
        ({"pool": {"cl_waiting": None}}, None),
        ({"state": "paused"}, "paused"),
        ({"pool": {"sv_active": 0, "sv_login": 1}}, "login"),
        ({"pool": {"sv_active": 0}, "of_user": 0}, "login"),
        ({"pool": {"sv_active": 0}, "of_user": 2}, None),
        ({"pool": {"sv_active": 0}, "of_user": 2, "settings": {"max_user_connections": "2"}}, "max_user_connections"),
        ({"pool": {"sv_active": None}}, None),
        ({"pool": {"sv_active": 2}}, None),
        ({"pool": {"sv_active": 2, "sv_login": 1}}, "pool_size"),
        ({"database": {"pool_size": 20}}, None),
        ({"database": {"pool_size": None}}, None),
        ({"database": {"pool_size": 20, "max_connections": 3}}, "max_db_connections"),
        ({"database": {"pool_size": 20, "max_connections": 4}}, None),
        ({"database": {"pool_size": 20, "max_connections": 3, "current_connections": None}}, None),
        ({"database": {"pool_size": 20}, "settings": {"max_user_connections": "3"}}, "max_user_connections"),
        (
            {"database": {"pool_size": 20}, "user": {"max_user_connections": 5, "current_connections": 5}},
            "max_user_connections",
        ),
        ({"database": {"pool_size": 20}, "user": {"max_user_connections": 0, "current_connections": 5}}, None),
        ({"user": {"pool_size": 30}}, None),
        ({"database": {"reserve_pool_size": 2}}, "pool_size"),
        ({"pool": {"sv_active": 5}, "database": {"reserve_pool_size": 2}}, "reserve_pool"),
        ({"pool": {"sv_active": 5}, "database": {"reserve_pool_size": None}}, "pool_size"),
        ({"pool": {"sv_active": 4}, "user": {"reserve_pool_size": 1}}, "reserve_pool"),
    ],
)
def test_bottleneck(changes, found):
    assert held_back(**changes) == found


def test_reserve_before_1_24():
    database = {name: value for name, value in DATABASE.items() if name != "reserve_pool_size"}
    pool = POOL | {"sv_active": 4}
    assert bottleneck(pool, database | {"reserve_pool": 1}, {}, 4, {}, "active") == "reserve_pool"


def test_sizes():
    assert pool_size({"pool_size": 20}, {}) == 20
    assert pool_size({"pool_size": 20}, {"pool_size": 0}) == 0
    assert pool_size({}, {}) is None
    pools = [{"user": "shop"} | POOL, {"user": "shop"} | POOL | {"sv_login": 2}, {"user": "till", "sv_active": None}]
    assert servers_of_users(pools) == {"shop": 8, "till": None}
    assert servers(POOL) == 3 and servers(POOL | {"sv_idle": None}) is None
