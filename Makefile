# The commands of this repository. Downloads are kept in ~/.cache/pgbouncer_monitor.
PYTHON := .stack/venv/bin/python

.PHONY: help demo stop clean load block test topologies remedies plan-check advice long lint bench stress lock

help: # this list
	@grep -E '^[a-z -]+:.*#' Makefile | sed 's/:.*#/:/'

demo: # start an Odoo behind PgBouncer, monitored by this module: make demo ADVICE=bad configures it badly
	@stack/install.sh demo
	@$(PYTHON) stack/demo.py start $(ADVICE)

stop clean load block: # stop the demo, remove its data, put it under load, block its clients
	@test -x $(PYTHON) || { echo "There is no demo here: run \`make demo\` first."; exit 1; }
	@$(PYTHON) stack/demo.py $@

test: # run all tests, or some within seconds: make test ARGS="tests/alerts -k TestRules"
	@stack/install.sh test
	@$(PYTHON) stack/run_tests.py $(ARGS)

topologies: # compare the LISTEN check with the facts in each way of connecting an Odoo: make topologies ARGS="NAME --at-once"
	@stack/install.sh test
	@$(PYTHON) stack/topologies.py $(ARGS)

remedies: # apply each remedy of the LISTEN check to what is broken, and check again
	@stack/install.sh test
	@$(PYTHON) stack/run_tests.py stack/tests/test_remedies.py -m ""

plan-check: # compare the planner's figures with real servers: make plan-check ARGS=classic
	@stack/install.sh test
	@$(PYTHON) stack/plan_check.py $(ARGS)

advice: # compare the findings with real servers, apply their remedies, and compare the findings with the planner's files
	@stack/install.sh test
	@$(PYTHON) stack/run_tests.py stack/tests/test_advice.py stack/tests/test_plan_sites.py -m ""

long: # run the tests that `make test` leaves out because they take minutes, those of `make remedies` among them
	@stack/install.sh test
	@$(PYTHON) stack/run_tests.py stack/tests -m long

lint: # check the style; `stack/lint/run fix` fixes what it can
	@stack/install.sh lint
	@stack/lint/run

bench: # measure the Overview, the advice, live lists, the sampler and an endpoint that hangs, and compare with other tools
	@stack/install.sh bench
	@$(PYTHON) stack/bench/lists.py
	@$(PYTHON) stack/bench/samples.py
	@$(PYTHON) stack/bench/overview.py
	@$(PYTHON) stack/bench/advice.py
	@$(PYTHON) stack/bench/silent.py

stress: # measure what PgBouncer changes for Odoo, within 40 minutes, or 6: make stress QUICK=1; your site: make stress URL=…
	@stack/install.sh test
	@PYTHONPATH=stack:.:stack/tests $(PYTHON) -m stress

lock: # lock the newest versions of the packages in requirements.in, for Debian 12's Python and later
	@rm -rf .stack/lock && /usr/bin/python3 -m venv .stack/lock
	@.stack/lock/bin/pip install --quiet --requirement stack/requirements.in
	@{ echo "# Made by \`make lock\` from requirements.in; do not edit."; .stack/lock/bin/pip freeze; } >stack/requirements.txt
	@rm -rf .stack/lock
