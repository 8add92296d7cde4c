# make demo   set everything up, scan an example, say where the report is
# make test   what CI runs: style, types, tests
# make prove-*  slow proofs; results in benchmarks/README.md

PYTHON ?= python3
BIN := .venv/bin
RUN := ORT_DISABLE_TELEMETRY=1 $(BIN)

.PHONY: demo test test-train install dev clean bench-limit bench-peers bench-whitebox bench-workers prove-resume prove-budgets prove-real prove-errors prove-coverage prove-attacks prove-monotone prove-constraints prove-corruptions prove-ecg prove-injected prove-images prove-graph prove-temporal prove-zoo prove-null prove-explained prove-defended prove-planned prove-scaffolds bench-explainers

install: .venv/installed
dev: .venv/dev

.venv/installed: pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit('medaudit needs Python 3.11 or newer; set PYTHON=python3.11') if sys.version_info < (3, 11) else 0"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || (echo "the venv module is missing: on Debian, apt install python3-venv" && exit 1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/dev: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,examples]"
	@touch $@

demo: .venv/installed
	@status=0; $(RUN)/medaudit scan examples/ecg/model.onnx --policy ecg.yaml --data examples/ecg/data.npz \
	  --limit 40 --include-samples --out reports/demo-$$(date +%Y%m%d-%H%M%S) || status=$$?; \
	if [ $$status -ge 2 ] && [ $$status -ne 3 ]; then exit $$status; fi; \
	echo; echo "The report: $$(ls -td reports/demo-* | head -1)/report.html"; \
	echo "(exit code $$status of the scan is its verdict: 0 passed, 1 a check failed, 3 something is inconclusive)"

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(RUN)/python -m pytest -n 2

# What CI skips: fitting denoisers needs PyTorch.
test-train: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m pytest -n 2 tests/train

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache

bench-limit: .venv/dev
	$(RUN)/python -m benchmarks.limit $(if $(MEDAUDIT_REAL_DATA),--shared "$(MEDAUDIT_REAL_DATA)")

bench-peers: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps torchattacks  # pins an old requests
	mkdir -p reports && rm -f reports/peers.jsonl
	$(RUN)/python -m benchmarks.peers "$(MEDAUDIT_REAL_DATA)" --json reports/peers.jsonl signal \
	    --kind l2-scores --kind l2-labels --kind linf-scores --kind l0-scores > reports/peers-signal.log & \
	  for part in "image table sequence" "signal --kind linf-labels"; do \
	    $(RUN)/python -m benchmarks.peers "$(MEDAUDIT_REAL_DATA)" --json reports/peers.jsonl $$part; done; wait
	$(RUN)/python -m benchmarks.peers "$(MEDAUDIT_REAL_DATA)" --json reports/peers.jsonl  # the tables; what failed is run again
	$(RUN)/python -m benchmarks.peer_speed --shared "$(MEDAUDIT_REAL_DATA)"

bench-whitebox: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.whitebox "$(MEDAUDIT_REAL_DATA)"

bench-workers: .venv/dev
	$(RUN)/python -m benchmarks.workers

prove-resume: .venv/dev
	$(RUN)/python -m benchmarks.prove_resume --kills 20

prove-budgets: .venv/dev
	$(RUN)/python -m benchmarks.prove_budgets

prove-real: .venv/dev
	$(RUN)/python -m benchmarks.prove_real "$(MEDAUDIT_REAL_DATA)"

prove-errors: .venv/dev
	$(RUN)/python -m pytest tests/audit/test_errors.py tests/audit/test_privacy.py -v

prove-coverage: .venv/dev
	$(RUN)/python -m benchmarks.prove_coverage

# The gradients are run beside the searches where PyTorch is installed (make bench-whitebox installs it).
prove-attacks: .venv/dev
	$(RUN)/python -m benchmarks.prove_attacks "$(MEDAUDIT_REAL_DATA)"

prove-monotone: .venv/dev
	$(RUN)/python -m benchmarks.prove_monotone

prove-constraints: .venv/dev
	$(RUN)/python -m benchmarks.prove_constraints $(if $(MEDAUDIT_REAL_DATA),--real "$(MEDAUDIT_REAL_DATA)")

prove-corruptions: .venv/dev
	$(RUN)/python -m benchmarks.prove_corruptions $(if $(MEDAUDIT_REAL_DATA),--real "$(MEDAUDIT_REAL_DATA)")

prove-ecg: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.prove_ecg "$(MEDAUDIT_REAL_DATA)"

prove-injected: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.prove_injected "$(MEDAUDIT_REAL_DATA)"

prove-images: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.prove_images "$(MEDAUDIT_REAL_DATA)"

# Clean exports, triggers planted in them, and what the graph scan says of both (15 minutes).
ZOO := reports/zoo
prove-graph: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[zoo]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	PYTHONHASHSEED=0 $(RUN)/python -m benchmarks.trigger_zoo.exports $(ZOO)/clean
	$(RUN)/python -m benchmarks.trigger_zoo.plants $(ZOO)/plants --shared "$(MEDAUDIT_REAL_DATA)/models" --clean $(ZOO)/clean --rewrites
	$(RUN)/python -m benchmarks.trigger_zoo.prove_graph $(ZOO)/plants $(ZOO)/clean

# What tells poisoned models from honest ones, on models nobody has seen: the seed is the detector's own commit.
prove-zoo: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.trigger_zoo.sealed $(ZOO)/sealed

# Audits of explanations whose attack does nothing: how many report an effect (5 minutes).
prove-null: .venv/dev
	$(RUN)/python -m benchmarks.prove_null

# Explanations led to another patient's and led away, on charts and ECGs (an hour; needs PyTorch).
prove-explained: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.prove_explained $(if $(MEDAUDIT_REAL_DATA),--shared "$(MEDAUDIT_REAL_DATA)")

# Denoisers, averaging and detectors against attacks on explanations (needs PyTorch).
prove-defended: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.prove_defended $(if $(MEDAUDIT_REAL_DATA),--shared "$(MEDAUDIT_REAL_DATA)")

# The time that explanations take, beside the time planned: of a machine that does nothing else.
prove-planned: .venv/dev
	$(RUN)/python -m benchmarks.prove_planned $(if $(MEDAUDIT_REAL_DATA),--shared "$(MEDAUDIT_REAL_DATA)")

# Signs of scaffolds over 121 tabular models (10 minutes).
prove-scaffolds: .venv/dev
	$(RUN)/python -m benchmarks.prove_scaffolds

# Explainers beside shap, lime, captum, Quantus and DIANNA.
bench-explainers: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[explainers]" torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps dianna  # brings another onnxruntime
	$(RUN)/python -m benchmarks.explainer_peers

prove-temporal: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN)/python -m benchmarks.trigger_zoo.temporal
