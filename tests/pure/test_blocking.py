"""Who waits for whom: trees, and the sessions at their roots."""

from itertools import chain

import pytest

from analysis.blocking import blocking_trees, roots, waits_for


@pytest.mark.parametrize(
    "name, waits_for, trees",
    [
        ("nobody waits", {}, []),
        ("one waits", {2: [1]}, [[(1, 0), (2, 1)]]),
        ("depth three", {3: [2], 2: [1]}, [[(1, 0), (2, 1), (3, 2)]]),
        ("many wait for one", {2: [1], 3: [1], 4: [1]}, [[(1, 0), (2, 1), (3, 1), (4, 1)]]),
        ("the queue before it blocks, too", {2: [1], 3: [2, 1]}, [[(1, 0), (2, 1), (3, 1)]]),
        ("two hold what one waits for", {3: [1, 2]}, [[(1, 0), (3, 1)], [(2, 0)]]),
        ("the largest is first", {2: [1], 7: [6], 8: [6]}, [[(6, 0), (7, 1), (8, 1)], [(1, 0), (2, 1)]]),
        ("named twice", {2: [1, 1]}, [[(1, 0), (2, 1)]]),
        ("deadlock", {1: [2], 2: [1]}, [[(2, 0), (1, 1)]]),
        ("behind a deadlock", {3: [1], 1: [2], 2: [1]}, [[(1, 0), (3, 1), (2, 1)]]),
        ("it waits for itself", {1: [1]}, [[(1, 0)]]),
        ("prepared transaction", {5: [0]}, [[(0, 0), (5, 1)]]),
    ],
)
def test_each_session_is_in_one_tree_once(name, waits_for, trees):
    found = blocking_trees(waits_for)
    assert [[node[:2] for node in tree] for tree in found] == trees, name
    for pid, depth, parent in chain.from_iterable(found):
        assert (parent in waits_for.get(pid, ())) == bool(depth), "whom it waits for"


def test_long_chain():
    [tree] = blocking_trees({pid: [pid - 1] for pid in range(2, 5000)})
    assert tree[-1] == (4999, 4998, 4998)


def test_roots():
    blocked = waits_for([(2, "1"), (3, "2, 1"), (5, "0"), (7, "8"), (8, "7")])
    assert blocked == {2: [1], 3: [2, 1], 5: [0], 7: [8], 8: [7]}
    assert roots([3], blocked) == {1}
    assert roots([3, 5], blocked) == {0, 1}
    assert roots([7], blocked) == {7, 8}, "a deadlock has no root"
    assert roots([9], blocked) == {9}
