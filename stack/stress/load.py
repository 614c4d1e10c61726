"""A load of many users on a site, by Locust in a process of its own."""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading

from servers import CHECKOUT, ServerError

# How long the driver may take to start and to end, besides the load.
EXTRA_SECONDS = 60
# Not for a process that has no use for them.
SECRETS = ("PASSWORD", "KEY")


def percentile(values, share):
    """Return the value that this share of sorted values does not exceed, None without values."""
    return values[math.ceil(share * len(values)) - 1] if values else None


class Load:
    """The users of a Scene.

    Measured are ``seconds``, after ``warm_up`` seconds and when all users are there.

    :param spawn_rate: how many users start in a second; by default all within half of the warm-up
    :param on_second: a function that is called with each entry of the timeline; what it raises ends the load
    """

    def __init__(self, scene, users=200, spawn_rate=None, warm_up=5, seconds=12, on_second=None):
        self.scene, self.users, self.on_second = scene, users, on_second
        spawn_rate = spawn_rate or 2 * users / max(warm_up, 1)
        lead = max(warm_up, math.ceil(users / spawn_rate))
        self.times = {"spawn_rate": spawn_rate, "lead": lead, "seconds": seconds}
        self.driver = None

    def run(self):
        """Return the result.

        :raise ServerError: the process ended without one
        """
        configuration = self.scene.configuration(self.users) | self.times
        path = os.pathsep.join(map(str, [CHECKOUT / "stack", CHECKOUT]))
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        with tempfile.TemporaryFile("w+") as log:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "stress.driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment | {"PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the caller, who stops it
            )
            limit = threading.Timer(self.times["lead"] + self.times["seconds"] + EXTRA_SECONDS, self.driver.kill)
            limit.start()
            try:
                return self.follow(configuration, log)
            finally:
                limit.cancel()
                self.driver.kill()
                self.driver.wait()

    def follow(self, configuration, log):
        try:
            self.driver.stdin.write(json.dumps(configuration) + "\n")
            self.driver.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: see below
        for text in self.driver.stdout:
            line = json.loads(text)
            if "result" in line:
                return line["result"]
            if self.on_second:
                self.on_second(line["second"])
        log.seek(0)
        raise ServerError("Locust's process ended without a result.\n" + "".join(log.readlines()[-10:]))

    def stop(self):
        """End the load early: `run` returns what was measured."""
        if self.driver and not self.driver.stdin.closed:
            self.driver.stdin.close()
