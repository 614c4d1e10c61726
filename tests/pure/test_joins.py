"""Which session, server, client and pool belong together."""

from analysis.joins import backends, client_pools, links

SERVER = {
    "ptr": "0x1",
    "user": "shop",
    "database": "alias",
    "addr": "10.0.0.1",
    "port": 5432,
    "local_addr": "10.0.0.2",
    "local_port": 40000,
    "remote_pid": 17,
    "link": "0x2",
}
CLIENT = {"ptr": "0x2", "link": "0x1", "addr": "10.0.0.3", "port": 4242, "remote_pid": 0}
DATABASE = {"name": "alias", "database": "shop"}
KEY = (17, 40000, "shop", "shop")


def console(client=CLIENT, **changes):
    return [SERVER | changes], [client] if client else [], [DATABASE]


def test_links_name_each_other():
    assert links([SERVER], [CLIENT]) == {"0x1": "0x2"}
    assert links([CLIENT], [SERVER]) == {"0x2": "0x1"}
    assert links([SERVER], [CLIENT | {"link": "0x9"}]) == {}
    assert links([SERVER], []) == links([SERVER | {"link": ""}], [CLIENT]) == {}


def test_pool_of_a_client():
    client = {"ptr": "0x2", "database": "alias", "user": "odoo"}
    pools = [{"database": "alias", "user": "shop"}, {"database": "other", "user": "odoo"}]
    assert client_pools([client], [DATABASE | {"force_user": "shop"}], pools) == {"0x2": ("alias", "shop")}
    assert client_pools([client], [DATABASE], pools) == {}
    assert client_pools([client | {"database": "other"}], [], pools) == {"0x2": ("other", "odoo")}


def test_backend_of_a_server():
    [(key, [backend])] = backends({1: console()}).items()
    assert key == KEY
    assert (backend.console, backend.server["ptr"]) == (1, "0x1")
    assert (backend.client, backend.client_address) == ("0x2", "10.0.0.3:4242")
    for client in (None, CLIENT | {"link": "0x9"}):
        [[backend]] = backends({1: console(client)}).values()
        assert (backend.client, backend.client_address) == (None, None)


def test_unix_socket_has_no_port():
    assert list(backends({1: console(addr="unix")})) == [(17, -1, "shop", "shop")]


def test_names_are_those_of_postgresql():
    assert list(backends({1: console(user="u" * 70)})) == [(17, 40000, "u" * 63, "shop")]
    assert list(backends({1: console(database="left out")})) == [(17, 40000, "shop", "left out")]


def test_what_cannot_be_told_apart():
    elsewhere = console(local_addr="10.0.0.9")
    assert {key: len(found) for key, found in backends({1: console(), 2: elsewhere}).items()} == {KEY: 2}
    assert {key: len(found) for key, found in backends({1: console(), 2: console()}).items()} == {KEY: 1}
