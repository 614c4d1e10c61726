"""Paths, the servers' user, free ports, certificates, and the servers of other Debian suites."""

import hashlib
import itertools
import os
import random
import shlex
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = CHECKOUT / ".stack"
MODULE = "pgbouncer_monitor"
LOCALHOST = "127.0.0.1"
# PostgreSQL and PgBouncer refuse to run as root: they run as this user, which Debian's packages create.
SERVICE_USER = "postgres" if os.geteuid() == 0 else None
# The tested versions of PgBouncer, and the Debian suites that provide them.
VERSIONS = {"1.15": "bullseye", "1.18": "bookworm", "1.24": "trixie", "1.26": "unstable"}
# The same of PostgreSQL.
POSTGRESQL_VERSIONS = {"13": "bullseye", "15": "bookworm", "17": "trixie", "18": "unstable"}


class ServerError(Exception):
    """A server failed. The message includes the end of its log."""


def step(text):
    """Print what is being done."""
    print(f"==> {text}", flush=True)


def data_root():
    """Return the folder for the servers' data.

    It is in the checkout, unless root runs this: the unprivileged servers may not be able to read root's checkout.
    """
    if not SERVICE_USER:
        return STACK / "data"
    checkout = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
    return Path("/var/lib") / f"{MODULE}_stack" / checkout


def make_folder(path, mode=0o755, user=None):
    """Create a folder, owned by ``user`` if given, and parents that everybody may traverse. Return its path."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)
    path.chmod(mode)
    if user:
        shutil.chown(path, user, user)
    return path


# Each port is returned once, because its server may start to listen after the next port is requested. They are
# below the kernel's ephemeral ports, so that no outgoing connection takes one in the meantime.
FREE_PORTS = iter(random.sample(range(15000, 32000), 17000))


def free_port(preferred=None):
    """Return ``preferred`` if it is free, otherwise any free TCP port."""
    for port in itertools.chain([preferred] if preferred else [], FREE_PORTS):
        with closing(socket.socket()) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((LOCALHOST, port))
            except OSError:
                continue
            return port
    raise ServerError("no free TCP port")


def suite_root(suite):
    """Return the root of a copy of another Debian suite's servers, readable by SERVICE_USER.

    Each program starts with the libraries that it was built for.

    :raise ServerError: stack/install.sh could not download them
    """
    link = STACK / f"servers-{suite}"
    if not link.exists():
        raise ServerError(f"the servers of Debian {suite} could not be fetched")
    root = data_root().parent / link.resolve().name
    if not root.exists():
        copy = Path(tempfile.mkdtemp(prefix=f"{root.name}.", dir=make_folder(root.parent)))
        shutil.copytree(link.resolve(), copy, symlinks=True, dirs_exist_ok=True)
        use_own_libraries(copy, root)
        try:
            copy.rename(root)
        except OSError:  # another process has created it in the meantime
            shutil.rmtree(copy)
    return root


def use_own_libraries(copy, root):
    """Make each server program in ``copy``, which will be moved to ``root``, use the libraries there."""
    libraries = [path.relative_to(copy) for part in ("lib", "usr/lib") for path in copy.glob(f"{part}/*-linux-gnu*")]
    loader = next(loader for path in libraries for loader in (copy / path).glob("ld-linux*.so*")).relative_to(copy)
    library_path = ":".join(str(root / path) for path in libraries)
    for program in [copy / "usr/sbin/pgbouncer", *copy.glob("usr/lib/postgresql/*/bin/*")]:
        real = program.rename(f"{program}.real").relative_to(copy)
        command = shlex.join([str(root / loader), "--library-path", library_path, str(root / real)])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)


def make_certificate(key, certificate, user=None, name="pgbouncer", issuer=()):
    """Write a private key and its certificate.

    :param issuer: (key, certificate) of the issuer; the certificate is self-signed without it
    """
    signed_by = ["-CA", issuer[1], "-CAkey", issuer[0]] if issuer else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        + ["-keyout", key, "-out", certificate, *signed_by],
        check=True,
        capture_output=True,
    )
    if user:
        shutil.chown(key, user, user)
