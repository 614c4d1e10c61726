"""Who waits for whom.

All functions take ``waits_for``: PID -> the PIDs that it waits for, of each session that waits for a lock.
"""

from collections import defaultdict


def waits_for(sessions):
    """Return ``waits_for`` of sessions, all of which wait for a lock.

    :param sessions: pairs of a PID and its ``blocked_by``, such as ``"12, 13"``
    """
    return {pid: list(map(int, blocked_by.split(", "))) for pid, blocked_by in sessions}


def roots(pids, waits_for):
    """Return the PIDs that these PIDs wait for in the end: those that wait for no lock themselves. In a deadlock there
    are none, and all that take part in it are returned."""
    chain, found = set(), set(pids)
    while found:
        chain |= found
        found = set().union(*(waits_for.get(pid, ()) for pid in found)) - chain
    return chain - waits_for.keys() or chain


def blocking_trees(waits_for):
    """Return who blocks whom as a list of trees, the largest first.

    A tree is a list of (PID, depth, PID that it waits for), its root (depth 0, None) first. Each session is in one
    tree, once, as near to a root as possible. In a deadlock any session is the root.
    """
    blocks = defaultdict(list)
    for pid, blockers in waits_for.items():
        for blocker in blockers:
            blocks[blocker].append(pid)
    below, roots = _children(blocks, waits_for)
    return sorted((_tree(root, below) for root in roots), key=len, reverse=True)


def _children(blocks, waits_for):
    """Return PID -> the PIDs below it, and the roots. Each PID is below one other at most."""
    below, roots, seen = {}, [], set()
    for starts in ([pid for pid in blocks if pid not in waits_for], *([pid] for pid in blocks)):
        found = [pid for pid in starts if pid not in seen]
        roots += found
        seen.update(found)
        for pid in found:  # grows in the loop
            below[pid] = [blocked for blocked in dict.fromkeys(blocks[pid]) if blocked not in seen]
            seen.update(below[pid])
            found += below[pid]
    return below, roots


def _tree(root, below):
    tree, rest = [], [(root, 0, None)]
    while rest:
        pid, depth, parent = rest.pop()
        tree.append((pid, depth, parent))
        rest += [(blocked, depth + 1, pid) for blocked in reversed(below[pid])]
    return tree
