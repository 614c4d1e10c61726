"""Who blocks whom."""

from collections import defaultdict


def blocking_trees(waits_for):
    """Who blocks whom.

    :param dict waits_for: PID -> the PIDs that it waits for, of each session that waits for a lock
    :return: a list of trees, the largest first: each is a list of (PID, depth, PID of whom it waits for), its root
        (depth 0, None) first. Each session is in one tree, once, as near to a root as can be. Of a deadlock any is
        the root.
    """
    blocks = defaultdict(list)
    for pid, blockers in waits_for.items():
        for blocker in blockers:
            blocks[blocker].append(pid)
    below, roots, seen = {}, [], set()
    for starts in ([pid for pid in blocks if pid not in waits_for], *([pid] for pid in blocks)):
        found = [pid for pid in starts if pid not in seen]
        roots += found
        seen.update(found)
        for pid in found:  # which grows meanwhile
            below[pid] = [blocked for blocked in dict.fromkeys(blocks[pid]) if blocked not in seen]
            seen.update(below[pid])
            found += below[pid]
    trees = []
    for root in roots:
        tree, rest = [], [(root, 0, None)]
        while rest:
            pid, depth, parent = rest.pop()
            tree.append((pid, depth, parent))
            rest += [(blocked, depth + 1, pid) for blocked in reversed(below[pid])]
        trees.append(tree)
    return sorted(trees, key=len, reverse=True)
