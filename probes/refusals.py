"""Count refusals in files, for all processes of all hosts that share a folder.

There is a file for each host and kind. A process appends a byte for each refusal, so the size is the count: it needs
no connection and no lock, survives restarts, and never goes down.
"""

import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

# The counts of a host that has refused nothing for so long are deleted: names of containers change.
FORGET_SECONDS = 30 * 24 * 3600
IDENTITY = "identity"
# Marks the folder of a host, which may have refused nothing. Others, such as lost+found, are not ours.
MARK = "host"


class Folder(NamedTuple):
    """The counts in a folder.

    ``identity`` distinguishes folders of hosts with the same name, ``created_at`` is in seconds since the epoch (0 if
    it is not known), and ``counts`` has host -> kind -> number of refusals since then.
    """

    identity: str
    created_at: float
    counts: dict


def host_name():
    """Return the name of this host, under which its refusals are counted."""
    return socket.gethostname()


def append(folder, kind, count):
    """Add refusals of this host.

    :return: how many were added: the others have no room on the disk
    :raise OSError: none was added
    """
    path = Path(folder) / quote(host_name(), safe="")
    try:
        return _append(path / kind, count)
    except FileNotFoundError:
        _identify(Path(folder))
        _enter(path)
        return _append(path / kind, count)


def _append(path, count):
    # In this mode the kernel moves to the end and writes in one step.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return os.write(descriptor, b"." * count)
    finally:
        os.close(descriptor)


def read(folder, kinds):
    """Return the Folder with the counts of all hosts that share it.

    :param kinds: the names of the files that count
    :raise OSError: it cannot be read or, on this host, written: then refusals may be missing
    """
    folder = Path(folder)
    identity, created_at = _identify(folder)
    own = folder / quote(host_name(), safe="")
    _enter(own)
    _prove_writable(own)
    counts = {}
    for host in sorted(path for path in folder.iterdir() if path.is_dir()):
        with suppress(FileNotFoundError):  # another sampler forgets this host at the moment
            paths = {path.name: path for path in host.iterdir()}
            counted = {kind: paths[kind].stat().st_size for kind in kinds if kind in paths}
            if counted or MARK in paths:
                counts[unquote(host.name)] = counted
                if host != own:
                    own_names = {MARK, *counted, *(name for name in paths if name.endswith(".probe"))}
                    _forget(host, [paths[name] for name in own_names if name in paths])
    return Folder(identity, created_at, counts)


def _enter(path):
    """Make the folder of a host, if there is none."""
    path.mkdir(mode=0o700, exist_ok=True)
    (path / MARK).touch()


def _identify(folder):
    """Return the identity of the folder, and when it was created, which is done now if it was not."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / IDENTITY
    if not path.exists():
        with suppress(FileExistsError):  # another process was faster
            _write_identity(path, os.link, time.time())
    try:
        identity, created_at = path.read_text().split()
        return identity, float(created_at)
    except ValueError:  # it was damaged, for example when the host lost its power
        _write_identity(path, os.replace, 0)
        return path.read_text().split()[0], 0


def _write_identity(path, put, created_at):
    """Put a new identity in place in one step, by `os.link` or `os.replace`."""
    new = path.with_name(f"{IDENTITY}.{uuid.uuid4().hex}")
    try:
        new.write_text(f"{uuid.uuid4().hex} {created_at}")
        put(new, path)
    finally:
        new.unlink(missing_ok=True)


def _prove_writable(own):
    """Write a byte where this host counts."""
    path = own / f"{os.getpid()}.probe"
    try:
        path.write_bytes(b".")
    finally:
        path.unlink(missing_ok=True)


def _forget(host, paths):
    """Delete the counts of another host whose last refusal was long ago."""
    with suppress(OSError):
        if time.time() - max(path.stat().st_mtime for path in [host, *paths]) > FORGET_SECONDS:
            for path in paths:
                path.unlink()
            host.rmdir()
