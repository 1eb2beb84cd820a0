# What a contributor runs; CONTRIBUTING.md says when. Only test, build and cross need nothing but Go.
GO ?= go
PARALLEL ?= 2
FUZZTIME ?= 10s
TESTFLAGS ?=
BENCHTIME ?= 1s
ROUNDS ?= 1

.PHONY: build test race interop bench fuzz lint cross

# What the broker never runs while it serves is compiled without inlining: a tenth of the binary.
COLD = cel.dev/... github.com/antlr4-go/... github.com/twmb/franz-go/pkg/kmsg google.golang.org/protobuf/... go.yaml.in/... github.com/klamm/klamm/internal/cli/...
OUT ?= klamm
build:
	CGO_ENABLED=0 $(GO) build -trimpath $(foreach p,$(COLD),-gcflags='$(p)=-l') -ldflags '-s -w' -o $(OUT) ./cmd/klamm

test:
	CGO_ENABLED=0 $(GO) test -p $(PARALLEL) $(TESTFLAGS) ./...

race: # the race detector needs cgo, and so a C compiler
	CGO_ENABLED=1 $(GO) test -race -p $(PARALLEL) $(TESTFLAGS) ./...

interop:
	interop/install
	interop/run

bench:
	CGO_ENABLED=0 $(GO) test -p 1 -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./internal/...
	bench/run $(ROUNDS)

fuzz:
	GO="$(GO)" FUZZTIME=$(FUZZTIME) .ci/fuzz

lint:
	GO="$(GO)" .ci/lint

cross:
	GO="$(GO)" .ci/cross

# The crash suite of the log at full length: a million crash points, about two minutes.
.PHONY: crash
crash:
	go test ./internal/commitlog -run CrashPoints -crash.points=1000000 -timeout 20m
