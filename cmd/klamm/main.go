// Command klamm is a broker that every Kafka client can use, and the command line to use it with.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/klamm/klamm/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process the hard way.
	context.AfterFunc(ctx, stop)
	code := cli.Main(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
