"""`make test`: run all tests, on servers that are started for the run and stopped afterwards.

1. tests/pure: tests that need neither Odoo nor servers (pytest).
2. Installation into an empty database. A warning in Odoo's log fails the run.
3. tests: the module's tests in that database, with HTTP and Chromium (pytest-odoo).
4. stack/tests: tests that start, break and stop servers (pytest).
5. The coverage of `advice/`, `analysis/`, `planner/` and `probes/` by 1 and 4, branches included.

4 mostly waits for servers. So it runs at the same time as 1 to 3, and its output follows theirs.

`make test ARGS="…"`: run some tests, within seconds. ARGS are pytest's arguments. Paths are relative to the checkout,
and select which of 1, 3 and 4 run:

    make test ARGS=tests/pure                          without servers
    make test ARGS="tests/alerts -k TestRules"         in Odoo
    make test ARGS=stack/tests/console/test_console.py
    make test ARGS="-k incident"                       in all three

The module is then installed only if necessary, see installed.py. Errors that occur only in a new installation are found
by a run without ARGS.
"""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

from installed import DATABASE, Installed
from servers import CHECKOUT, MODULE, STACK, ServerError, step

# The required coverage in percent: by the pure tests alone, and together with the stack's tests.
PURE_COVERAGE = {"advice": 100, "analysis": 100, "planner": 100}
COVERAGE = PURE_COVERAGE | {"probes": 0}
COVERAGE_FILE = STACK / "coverage"
NO_TESTS = 5


def start_pytest(*arguments, is_measured=True, environment=None, output=None):
    """Return pytest's process.

    :param output: a file for what it prints, instead of the terminal
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=5", *arguments]
    if is_measured:
        sources = "--source=" + ",".join(str(CHECKOUT / room) for room in COVERAGE)
        measure = ["coverage", "run", "--branch", "--parallel-mode", f"--data-file={COVERAGE_FILE}", sources]
        command[2:2] = [*measure, "-m"]
    return subprocess.Popen(command, cwd=STACK, env=environment, stdout=output, stderr=output)


def finish(process):
    """Wait for pytest. If this program is stopped, pytest stops its servers first.

    :return: pytest's exit code
    """
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def run_pure_tests(arguments):
    """Return pytest's exit code."""
    step("Tests without Odoo and servers")
    return finish(start_pytest("-p", "no:odoo", *arguments))


def run_module_tests(arguments, is_new):
    """Run tests in Odoo, in a database with the module. Return pytest's exit code.

    :raise ServerError: the module could not be installed, or its installation logged a warning
    """
    with Installed(is_new) as servers:
        odoo, pair = servers.odoo, servers.pair
        if is_new and odoo.warnings():
            raise ServerError(f"the installation logged, see {odoo.log}:\n" + "\n".join(odoo.warnings()))
        servers.copy()
        # Odoo prefers PGHOST to its db_host, so these variables have other names in its tests.
        environment = odoo.environment() | {
            f"TEST_{name}" if name in ("PGHOST", "PGPORT", "PGUSER") else name: value
            for name, value in pair.environment(STACK / "test.pgpass").items()
        }
        page_tools = STACK / "pages/node_modules"
        environment["AXE_CORE"] = str(page_tools / "axe-core/axe.min.js")
        environment["PATH"] = f"{page_tools / '.bin'}{os.pathsep}{os.environ['PATH']}"  # rtlcss
        # Odoo loads the module from another path than the checkout.
        module = odoo.folder / "addons" / MODULE
        step("The module's tests")
        process = start_pytest(
            "--odoo-http",
            "--odoo-log-level=error",
            f"--odoo-config={odoo.configuration}",
            f"--odoo-database={DATABASE}",
            f"--ignore={module / 'tests/pure'}",
            *(argument.replace(str(CHECKOUT), str(module), 1) for argument in arguments),
            is_measured=False,
            environment=environment,
        )
        return finish(process)


def start_stack_tests(arguments, is_new, output=None):
    """Return pytest's process, see `start_pytest`."""
    return start_pytest(
        *("-p", "no:odoo", f"--rootdir={CHECKOUT / 'stack'}", f"--config-file={CHECKOUT / 'stack/pytest.ini'}"),
        *arguments,
        environment=os.environ if is_new else os.environ | {"USE_INSTALLED": "1"},
        output=output,
    )


def run_suites(suites):
    """Run the selected tests, one suite after the other. Return pytest's exit codes."""
    codes = []
    if "pure" in suites:
        codes.append(run_pure_tests(suites["pure"]))
    if "module" in suites:
        codes.append(run_module_tests(suites["module"], is_new=False))
    if "stack" in suites:
        step("The stack's tests")
        codes.append(finish(start_stack_tests(suites["stack"], is_new=False)))
    return codes


def run_all(suites):
    """Run all tests, those of the stack beside the others. Return pytest's exit codes."""
    with tempfile.TemporaryFile("w+") as output:
        stack_tests = start_stack_tests(suites["stack"], is_new=True, output=output)
        try:
            codes = [run_pure_tests(suites["pure"]), run_module_tests(suites["module"], is_new=True)]
            return [*codes, stack_tests.wait()]
        except BaseException:
            stack_tests.send_signal(signal.SIGINT)
            raise
        finally:
            stack_tests.wait()
            step("The stack's tests")
            output.seek(0)
            shutil.copyfileobj(output, sys.stdout)


def suite_of(path):
    """Return the suites, of "pure", "module" and "stack", with tests at a path relative to the checkout."""
    if path.startswith("tests/pure"):
        return {"pure"}
    if path.startswith("stack"):
        return {"stack"}
    return {"module"} if path.strip("/") != "tests" else {"pure", "module"}


def sort_arguments(arguments):
    """Return suite -> pytest's arguments, for the selected suites."""
    paths = [
        argument
        for argument in arguments
        if argument.startswith(("tests", "stack")) and (CHECKOUT / argument.partition("::")[0]).exists()
    ]
    options = [argument for argument in arguments if argument not in paths]
    suites = {}
    for path in paths or ["tests", "stack/tests"]:
        for suite in suite_of(path):
            place = "tests/pure" if suite == "pure" and path.strip("/") == "tests" else path
            suites.setdefault(suite, list(options)).append(str(CHECKOUT / place))
    return suites


def report_coverage(folders):
    """Print the coverage of folders. Return whether it is below the required percentage (folder -> %)."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", f"--data-file={COVERAGE_FILE}"], cwd=STACK, check=True)
    is_too_low = False
    for folder, least in folders.items():
        step(f"Coverage of {folder}/, branches included; required: {least} %")
        report = ["report", f"--data-file={COVERAGE_FILE}", f"--include={folder}/*", f"--fail-under={least}"]
        report += ["--show-missing", "--skip-covered"]
        is_too_low |= bool(subprocess.run([*coverage, *report], cwd=CHECKOUT, check=False).returncode)
    return is_too_low


def main():
    arguments = sys.argv[1:]
    suites, is_new = sort_arguments(arguments), not arguments
    # As an exception, so that the servers are stopped.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit("terminated"))
    for old in STACK.glob("coverage*"):
        old.unlink()
    try:
        codes = run_all(suites) if is_new else run_suites(suites)
    except ServerError as error:
        sys.exit(f"FAILED: {error}")
    if set(codes) == {NO_TESTS}:
        sys.exit(f"FAILED: {shlex.join(arguments)} selects no test")
    failed = any(code not in (0, NO_TESTS) for code in codes)
    if is_new or arguments == ["tests/pure"]:
        failed |= report_coverage(COVERAGE if is_new else PURE_COVERAGE)
    sys.exit(failed)


if __name__ == "__main__":
    with open(STACK / "test.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("FAILED: another `make test` runs in this checkout.")
        main()
