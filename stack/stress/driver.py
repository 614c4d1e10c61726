"""Locust in a process of its own: `python -m stress.driver`.

The first line of its standard input is the configuration, as JSON: that of the Scene, with ``spawn_rate``, ``lead``
and ``seconds``. It ends early when its standard input is closed. It writes JSON lines: {"second": …} for each second,
and {"result": …} in the end.
"""

import json
import resource
import sys
import time
import traceback
from collections import Counter

import gevent

# Changes the process for gevent: before the other imports.
from locust.env import Environment

from .load import percentile
from .scenario import Chatter, Clerk, Visitor

DELIVERY = "chat delivery"  # is no request


class Recorder:
    """Counts the requests. ``open`` is how many wait for their answer.

    ``minutes`` has the Requests of each minute of the clock, ``measured`` those of the measurement while it runs.
    """

    def __init__(self):
        self.open = 0
        self.second, self.measured, self.minutes = Requests(), None, {}

    def add(self, name, response_time, exception, **_more):
        seconds = response_time / 1000
        minute = self.minutes.setdefault(int(time.time()) // 60 * 60, Requests())
        for requests in filter(None, (self.second, self.measured, minute)):
            requests.add(name, seconds, exception)

    def add_error(self, exception, **_more):
        self.add("scenario", 0, f"error of the scenario: {type(exception).__name__}")
        traceback.print_exception(exception)


class Requests:
    """Requests that have ended: by task, how many, how many failed, and their times.

    A failure that comes sooner than an answer would does not count as a time, but a timeout does.
    """

    def __init__(self):
        self.counts, self.failed, self.kinds, self.times = Counter(), Counter(), Counter(), {}

    def add(self, name, seconds, failure):
        self.counts[name] += 1
        times = self.times.setdefault(name, [])
        if failure:
            self.failed[name] += 1
            self.kinds[failure] += 1
        if not failure or failure == "timeout":
            times.append(seconds)

    def all_times(self):
        return sorted(time for name, times in self.times.items() if name != DELIVERY for time in times)

    def total(self, counts):
        return counts.total() - counts[DELIVERY]

    def figures(self):
        counts = {"requests": self.total(self.counts), "failures": self.failed.total()}
        return counts | percentiles(self.all_times())

    def result(self, seconds):
        requests = self.total(self.counts)
        tasks = {
            name: {"requests": count, "failures": self.failed[name]} | percentiles(sorted(self.times[name]))
            for name, count in sorted(self.counts.items())
        }
        return {
            "requests": requests,
            "rps": (requests - self.total(self.failed)) / seconds if seconds else None,
            **percentiles(self.all_times()),
            "failures": dict(self.kinds.most_common()),
            "tasks": tasks,
        }


def percentiles(times):
    return {f"p{share}": percentile(times, share / 100) for share in (50, 95, 99)}


def write(**line):
    print(json.dumps(line), flush=True)


class Driver:
    """Runs the users."""

    def __init__(self, configuration):
        self.configuration, self.recorder = configuration, Recorder()
        counts = [(Visitor, configuration["visitors"])]
        counts += [(Clerk, len(configuration["clerks"])), (Chatter, len(configuration["chatters"]))]
        for kind, count in counts:
            kind.weight = count
        self.users = sum(count for _kind, count in counts)
        kinds = [kind for kind, count in counts if count]
        self.environment = Environment(user_classes=kinds, host=configuration["url"])
        self.environment.scene, self.environment.recorder = configuration, self.recorder
        self.environment.events.request.add_listener(self.recorder.add)
        self.environment.events.user_error.add_listener(self.recorder.add_error)
        self.is_closed = gevent.get_hub().threadpool.spawn(sys.stdin.read)

    def run(self):
        runner = self.environment.create_local_runner()
        lead, timeline = self.configuration["lead"], []
        started, started_at, seconds = time.monotonic(), time.time(), 0
        runner.start(self.users, spawn_rate=self.configuration["spawn_rate"])
        while not self.is_closed.ready() and seconds < lead + self.configuration["seconds"]:
            if seconds >= lead and not self.recorder.measured:
                self.recorder.measured, started_at = Requests(), time.time()
            self.recorder.second = Requests()
            at, seconds = time.time(), seconds + 1
            gevent.wait([self.is_closed], max(0, started + seconds - time.monotonic()))
            timeline.append({"at": at, "users": runner.user_count, **self.recorder.second.figures()})
            write(second=timeline[-1])
        measured, unfinished = self.recorder.measured, self.recorder.open
        took = time.time() - started_at if measured else 0.0
        self.recorder.measured = None
        runner.quit()
        result = {"users": self.users, "started_at": started_at, "seconds": took}
        minutes = [{"minute": minute, **requests.figures()} for minute, requests in self.recorder.minutes.items()]
        result |= (measured or Requests()).result(took)
        if not measured:  # it was stopped early: why is of interest
            result["failures"] = sum((minute.kinds for minute in self.recorder.minutes.values()), Counter())
        result |= {"unfinished": unfinished, "timeline": timeline, "minutes": minutes}
        write(result=result)


if __name__ == "__main__":
    # Each user has a connection, a chatter two.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Driver(json.loads(sys.stdin.readline())).run()
