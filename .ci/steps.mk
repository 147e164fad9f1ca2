# The steps of `make test`. Most of them wait more than they work, so .ci/test has make run two at a time, in the order of
# `all`: the longest begins first. A step's output stands together, and one that fails keeps no other from running.
# No step needs another's result.

# The packages with tests of scale.
SCALE = $(shell grep -rl --include='*_test.go' '^func Test.*Scale' coop hub transports cmd | xargs -n 1 dirname | sort -u | sed 's,^,./,')

# Sessions on the portable poller, as far as they see a poller: streams, slow clients, ends, upgrades, many.
PORTABLE = ^Test(OfficialClient$$|BinaryBothWays|AnswersThatNobodyReads|BusyHandlerHoldsUp|Stalled|Volatile|Shutdown|RecoveryOnTheWire|RoomOverBothKinds|CompressedRoom|Sessions|Sizes)

STEPS = race lint chromium frameworks drivers portable scale
all: $(STEPS)
.PHONY: all $(STEPS)

# `make lint` has vet look at the tests; go test need not again.
# go test begins in the order in which packages are named: first what takes long because it waits.
LONG = ./transports/zeromq ./transports/socketio ./transports/engineio ./transports/socketio/internal/hostile ./cmd/greenroom

race: # all packages, race detector
	.ci/timed race .ci/gotest -race -vet=off -p 4 -timeout 12m $(LONG) ./...

lint: # formatting, vet, staticcheck
	.ci/timed lint $(MAKE) --no-print-directory lint

scale: # what the race detector cannot hold, and reads and writes without it, which has calls of its own
	.ci/timed coop-without-race .ci/gotest -vet=off -timeout 10m -run 'Scale|Stream|Peek|Conn|LargeBatches' ./coop
	.ci/timed scale .ci/gotest -vet=off -timeout 10m -run Scale $(filter-out ./coop,$(SCALE))

portable: # the poller of other systems (the largest test of coop polls nothing)
	.ci/timed portable .ci/gotest -vet=off -tags coop_portable -timeout 10m -skip MillionParked ./coop ./coop/coophttp ./coop/internal/... ./transports/engineio
	.ci/timed portable-socketio .ci/gotest -vet=off -tags coop_portable -timeout 10m -run '$(PORTABLE)' ./transports/socketio

drivers: # greenlets and drivers that block
	cd coop/examples/drivers && ../../../.ci/timed drivers ../../../.ci/gotest -vet=off -count=1 -timeout 10m ./...

frameworks: # beside net/http, chi, gin and echo
	cd coop/examples/frameworks && ../../../.ci/timed frameworks ../../../.ci/gotest -race -vet=off -count=1 -timeout 10m ./...

chromium: # the chat demo, the Admin UI and the ticker in a browser
	cd web/e2e && ../../.ci/timed chromium ../../.ci/gotest -vet=off -count=1 -timeout 10m ./...
