# The ways to build, try and test imgit. `make` alone lists them.

CARGO ?= cargo
.DEFAULT_GOAL := help
.PHONY: help demo build check fmt clippy doc test slow fuzz bench bench-disks bench-registry testdata clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build, then import, log, diff and export two real images in a temporary store
	@tests/demo.sh

build: ## build the release binary, target/release/imgit
	$(CARGO) build --release

test: ## install what the tests need (apt, only what is missing) and run them
	@tests/support/install.sh test
	$(CARGO) test

check: fmt clippy doc test ## everything that must be clean before a commit lands

fmt: ## is the code formatted?
	@if $(CARGO) fmt --version >/dev/null 2>&1; then $(CARGO) fmt --check; else echo "Skipped: this toolchain has no rustfmt."; fi

clippy: ## lints, warnings denied
	@if $(CARGO) clippy --version >/dev/null 2>&1; then $(CARGO) clippy --all-targets -- -D warnings; else echo "Skipped: this toolchain has no clippy."; fi

doc: ## build the docs, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

slow: ## run the tests that take minutes too, on machines made of real packages (root)
	@tests/support/install.sh testdata
	$(CARGO) test --release -- --include-ignored

fuzz: ## fuzz each target for FUZZ_SECONDS (30) on stable Rust
	@tests/support/install.sh fuzz
	@tests/fuzz/run.sh

bench: build ## compare with umoci, ostree, restic and composefs; writes tests/bench/RESULTS.md
	@tests/support/install.sh bench
	@tests/bench/corpus.sh
	@tests/bench/cfsctl.sh
	@IMGIT=target/release/imgit tests/bench/run.py

bench-disks: build ## compare with tar, restic, qemu-img and virt-tar-out on VM disks; writes tests/bench/DISKS.md (root)
	@tests/support/install.sh bench
	@testdata/make/machines.sh
	@IMGIT=target/release/imgit tests/bench/disks.py --appliance

bench-registry: build ## compare pull and push with skopeo and podman; writes tests/bench/REGISTRY.md
	@tests/support/install.sh bench
	@tests/bench/corpus.sh
	@IMGIT=target/release/imgit tests/bench/registry.py

testdata: ## make the fixtures in testdata/ anew (root)
	@tests/support/install.sh testdata
	testdata/make/web.sh
	testdata/make/notes.sh
	testdata/make/btrfs.sh
	testdata/make/odd.py
	testdata/make/dirty.sh
	testdata/make/lvm.sh

clean: ## remove what was built
	$(CARGO) clean
