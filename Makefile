# One command for each thing one does here; `make help` lists them.
GO ?= go
ARTIFACTS ?= $(CURDIR)/artifacts
PEERS = centrifuge zishang520 googollee
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: help run demo-ticker demo-cluster web test check lint bench bench-gevent bench-peers bench-zeromq bench-cluster fuzz soak fmt clean deps

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: web ## build the pages when they are missing and serve the chat demo (PORT, or GREENROOM_… variables)
	$(GO) run ./cmd/greenroom $(if $(PORT),--listen 127.0.0.1:$(PORT))

demo-ticker: web ## live prices from a ZeroMQ publisher that sends only what somebody looks at (LISTEN; wants pyzmq)
	$(GO) build -o bin/greenroom ./cmd/greenroom
	@LISTEN=$(or $(LISTEN),127.0.0.1:3000) transports/zeromq/examples/ticker/run

demo-cluster: web ## three nodes on a Redis, nginx and the chat, which shows who is on which node (FRONT, N1, N2, N3, REDIS: ports)
	$(GO) build -o bin/greenroom ./cmd/greenroom
	@transports/redis/examples/cluster/run

web: web/dist/index.html web/dist/client/version ## build the web assets (npm ci and esbuild), only when something changed

web/dist/index.html web/dist/client/version &: web/package.json web/package-lock.json web/build.mjs $(shell find web/src -type f 2>/dev/null)
	cd web && npm ci --no-audit --no-fund && npm run build
	@touch web/dist/index.html web/dist/client/version

deps: ## install what the tests need from Debian's packages (root)
	@sh .ci/deps

check: lint ## lint, import directions and unit tests: the inner loop
	$(GO) test -short ./...

lint: ## formatting, vet (for the other systems too) and staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted (make fmt):"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	for s in freebsd netbsd openbsd dragonfly; do GOOS=$$s $(GO) vet ./coop/... || exit 1; done
	GOOS=darwin $(GO) vet -tags coop_portable ./coop/...
	cd web/e2e && $(GO) vet ./...
	cd coop/examples/drivers && $(GO) vet ./...
	cd coop/examples/frameworks && $(GO) vet ./...
	for p in $(PEERS); do (cd loadtests/peers/$$p && $(GO) vet ./...) || exit 1; done
	$(STATICCHECK) ./...

test: deps web ## everything, with real peers: the one test command
	@sh .ci/test

bench: ## benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-gevent: ## coop beside gevent and goroutines, as a table (python3-gevent, wrk)
	@$(GO) run ./loadtests/coop-vs-gevent -rounds 5

bench-peers: deps loadtests/peers/nodejs/node_modules/.package-lock.json ## Greenroom beside other servers; writes docs/benchmarks.md (20 min; ARGS="-rows echo")
	$(GO) build -o bin/bench-peers ./loadtests/bench-peers
	bin/bench-peers $(or $(ARGS),-write docs/benchmarks.md)

loadtests/peers/nodejs/node_modules/.package-lock.json: loadtests/peers/nodejs/package-lock.json
	npm ci --no-audit --no-fund --prefix loadtests/peers/nodejs
	@touch $@

bench-zeromq: ## the ZeroMQ bridge beside libzmq, as a table and docs/zeromq-benchmarks.md (ARGS='-rows egress -rounds 5'; libzmq3-dev, python3-zmq)
	@$(GO) run ./loadtests/zeromq -write docs/zeromq-benchmarks.md $(ARGS)

bench-cluster: loadtests/cluster/nodejs/node_modules/.package-lock.json ## two nodes joined by Redis beside two of Node.js, as a table and docs/cluster-benchmarks.md (redis-server)
	$(GO) build -o bin/bench-cluster ./loadtests/cluster
	bin/bench-cluster $(or $(ARGS),-write docs/cluster-benchmarks.md)

loadtests/cluster/nodejs/node_modules/.package-lock.json: loadtests/cluster/nodejs/package-lock.json
	npm ci --no-audit --no-fund --prefix loadtests/cluster/nodejs
	@touch $@

fuzz: ## every fuzz target for 20 s
	@sh .ci/fuzz 20s

soak: web deps ## clusters whose nodes and Redis fail all the time, slots that move, fail-overs: what is lost, doubled, misordered (MINUTES=5 for each adapter; SEED=17)
	LOSSCHECK_MINUTES=$(or $(MINUTES),5) LOSSCHECK_SEED=$(SEED) LOSSCHECK_RACE=1 GREENROOM_REQUIRE_PEERS=1 \
		$(GO) test -race -count=1 -timeout 24h -v ./loadtests/losscheck
	GREENROOM_REQUIRE_PEERS=1 $(GO) test -race -count=$(shell expr 4 '*' $(or $(MINUTES),5)) -timeout 24h \
		-run '^Test(Cluster|OnACluster|SentinelFailover|StreamsFailover|StreamsRedis.*)$$' ./transports/redis

fmt: ## format the Go code
	gofmt -w $$(git ls-files '*.go')

clean: ## remove what was built
	rm -rf web/node_modules artifacts bin && find web/dist -mindepth 1 ! -name .gitkeep -delete
