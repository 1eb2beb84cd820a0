package node

import (
	"fmt"
	"strings"
)

// Dev makes the Config of klamm dev: one node that only this machine reaches, with its data in dir and
// clients at listen (host:port, localhost:9092 for example). Every client is told the address it used.
func Dev(dir, listen string, overrides []string) (Config, error) {
	l, err := parseListener("PLAINTEXT://" + listen)
	if err != nil {
		return Config{}, fmt.Errorf("--listen %s: %s", listen, strings.ReplaceAll(err.Error(), "PLAINTEXT://", ""))
	}
	if _, local := bindHosts(l.host); !local {
		return Config{}, fmt.Errorf("--listen %s: klamm dev is for this machine alone, as there is no authentication yet; write localhost:%d, or use klamm server --insecure-listen", listen, l.port)
	}
	if strings.Contains(dir, ",") {
		return Config{}, fmt.Errorf("--data-dir %s: a comma separates directories in Kafka's format; choose a path without one", dir)
	}
	host := l.host
	if host == "" {
		host = "localhost"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	base := []string{
		"node.id=1",
		"process.roles=broker,controller",
		fmt.Sprintf("listeners=PLAINTEXT://%s:%d", host, l.port),
		"log.dirs=" + dir,
		"group.initial.rebalance.delay.ms=0",
	}
	cfg, err := Read(Source{File: "klamm dev", Overrides: append(base, overrides...)})
	if err != nil {
		return Config{}, err
	}
	cfg.AdminOptional = true
	return cfg, nil
}
