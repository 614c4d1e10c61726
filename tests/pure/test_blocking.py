"""The trees of who blocks whom."""

from itertools import chain

import pytest

from analysis.blocking import blocking_trees


@pytest.mark.parametrize(
    "waits_for, trees",
    [
        pytest.param({}, [], id="nobody waits"),
        pytest.param({2: [1]}, [[(1, 0), (2, 1)]], id="one waits"),
        pytest.param({3: [2], 2: [1]}, [[(1, 0), (2, 1), (3, 2)]], id="depth three"),
        pytest.param({2: [1], 3: [1], 4: [1]}, [[(1, 0), (2, 1), (3, 1), (4, 1)]], id="many wait for one"),
        pytest.param({2: [1], 3: [2, 1]}, [[(1, 0), (2, 1), (3, 1)]], id="the queue before it blocks, too"),
        pytest.param({3: [1, 2]}, [[(1, 0), (3, 1)], [(2, 0)]], id="two hold what one waits for"),
        pytest.param({2: [1], 7: [6], 8: [6]}, [[(6, 0), (7, 1), (8, 1)], [(1, 0), (2, 1)]], id="the largest is first"),
        pytest.param({2: [1, 1]}, [[(1, 0), (2, 1)]], id="named twice"),
        pytest.param({1: [2], 2: [1]}, [[(2, 0), (1, 1)]], id="deadlock"),
        pytest.param({3: [1], 1: [2], 2: [1]}, [[(1, 0), (3, 1), (2, 1)]], id="behind a deadlock"),
        pytest.param({1: [1]}, [[(1, 0)]], id="it waits for itself"),
        pytest.param({5: [0]}, [[(0, 0), (5, 1)]], id="prepared transaction"),
    ],
)
def test_each_session_is_in_one_tree_once(waits_for, trees):
    found = blocking_trees(waits_for)
    assert [[node[:2] for node in tree] for tree in found] == trees
    for pid, depth, parent in chain.from_iterable(found):
        assert (parent in waits_for.get(pid, ())) == bool(depth), "whom it waits for"


def test_long_chain():
    [tree] = blocking_trees({pid: [pid - 1] for pid in range(2, 5000)})
    assert tree[-1] == (4999, 4998, 4998)
