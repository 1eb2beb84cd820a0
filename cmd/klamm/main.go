// Command klamm is a broker that every Kafka client can use, and the command line to use it with.
package main

import (
	"os"

	"github.com/klamm/klamm/internal/cli"
)

func main() { os.Exit(cli.Process(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
