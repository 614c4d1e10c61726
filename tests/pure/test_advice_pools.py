"""What the pools of an installation can open."""

from dataclasses import replace

from addon.advice import pools
from pools import console, database, installation


def test_pools_are_computed_once_for_each_console():
    row = console("a")
    assert pools.pools(row) is pools.pools(row)
    larger = replace(row, databases=[database("a", 30)])
    assert [pools.pools(other)[0].size for other in (row, larger)] == [20, 30]


def test_inputs_are_computed_once_for_each_snapshot():
    shot = installation(console("a"))
    assert pools.inputs(shot) is pools.inputs(shot)
    assert pools.inputs(replace(shot, consoles={})) is not pools.inputs(shot)
