package properties

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/config"
)

// section is a part of a first server.properties.
type section struct {
	title string
	keys  []entry
}

// entry is a key of a section: set to a value, or a comment with its default.
type entry struct {
	key, value string // an empty value is a comment
	word       string // beside the key's own documentation
}

// sections are what somebody who begins should see.
func sections() []section {
	return []section{
		{"Who this node is", []entry{{"node.id", "1", ""}, {"process.roles", "broker,controller", "A node of this version is both."}}},
		{"Where it listens", []entry{
			{"listeners", "PLAINTEXT://localhost:9092", "An address beyond this machine needs --insecure-listen, as there is no authentication yet."},
			{"advertised.listeners", "", "Set it behind address translation or a mapped port; klamm doctor says when and to what."},
			{"admin.listener", "", ""}, {"max.connections", "", ""}, {"max.connections.per.ip", "", ""},
		}},
		{"Where the data is", []entry{{"log.dirs", "/var/lib/klamm", "Several directories are separated by commas."}, {"log.flush.before.ack", "", ""}}},
		{"Topics, where they do not say otherwise", []entry{
			{"num.partitions", "", ""}, {"auto.create.topics.enable", "", ""}, {"log.retention.hours", "", ""}, {"log.retention.bytes", "", "It counts for each partition."},
			{"log.segment.bytes", "", ""}, {"message.max.bytes", "", ""}, {"compression.type", "", ""},
		}},
		{"Consumer groups", []entry{{"offsets.retention.minutes", "", ""}, {"group.initial.rebalance.delay.ms", "", ""}, {"group.max.session.timeout.ms", "", ""}}},
		{"Seeing inside", []entry{{"klamm.slow.request.ms", "", ""}}},
	}
}

// properties is a first server.properties with a comment on everything in it; with all, every key there is.
func properties(set *config.Set, all bool) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, "# Configuration of a node of Klamm. Keys and values are Apache Kafka's; klamm config explain KEY tells more of each.\n")
	var done []string
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n", s.title)
		for _, e := range s.keys {
			if k, ok := set.Lookup(config.Broker, e.key); ok {
				writeEntry(&b, k, e)
				done = append(done, e.key)
			}
		}
	}
	if all {
		fmt.Fprint(&b, "\n## Everything else\n")
		for _, k := range set.Keys(config.Broker) {
			if !slices.Contains(done, k.Name) && k.NoEffect == "" {
				writeEntry(&b, k, entry{key: k.Name})
			}
		}
		fmt.Fprint(&b, "\n## Known from Kafka, and without effect here\n")
		for _, k := range set.Keys(config.Broker) {
			if k.NoEffect != "" {
				fmt.Fprintf(&b, "# %s: %s\n", k.Name, k.NoEffect)
			}
		}
	}
	return b.Bytes()
}

// writeEntry writes a key with what it does.
func writeEntry(b *bytes.Buffer, k *config.Key, e entry) {
	fmt.Fprintf(b, "\n# %s\n", k.Doc)
	if e.word != "" {
		fmt.Fprintf(b, "# %s\n", e.word)
	}
	if e.value != "" {
		fmt.Fprintf(b, "%s=%s\n", k.Name, e.value)
		return
	}
	fmt.Fprintf(b, "#%s=%s\n", k.Name, k.Default)
}

// initial prints a first server.properties.
func initial(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "init", Short: "Print a first server.properties with a comment on everything in it", Args: app.Exactly(),
		Example: "  klamm config init > server.properties\n  klamm config init --all | less          # every key there is",
	}
	all := c.Flags().Bool("all", false, "every key there is")
	c.RunE = func(*cobra.Command, []string) error {
		_, err := a.Out.Write(properties(keys(), *all))
		return err
	}
	return c
}

// starter is a file of klamm init.
type starter struct {
	kind, name string
	text       func() []byte
}

// starters are the files of klamm init.
func starters() []starter {
	plain := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	return []starter{
		{"properties", "server.properties", func() []byte { return properties(keys(), false) }},
		{"systemd", "klamm.service", plain(systemd)},
		{"docker", "Dockerfile", plain(dockerfile)},
		{"compose", "compose.yaml", plain(compose)},
	}
}

// systemd is a unit that keeps the node in its directory and gives it nothing else.
const systemd = `# Copy it to /etc/systemd/system, klamm to /usr/local/bin and server.properties to /etc/klamm; then
#   systemctl daemon-reload && systemctl enable --now klamm
[Unit]
Description=Klamm, a broker for Kafka clients
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStart=/usr/local/bin/klamm server --config /etc/klamm/server.properties
DynamicUser=yes
StateDirectory=klamm
Restart=on-failure
RestartSec=1s
# A stop flushes the logs and marks them clean, so that the next start recovers nothing.
TimeoutStopSec=60s
LimitNOFILE=1048576
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

[Install]
WantedBy=multi-user.target
`

// dockerfile is an image of the binary and its configuration alone.
const dockerfile = `# An image of nothing but the binary, which must be a static one for Linux:
#   CGO_ENABLED=0 GOOS=linux go build -o klamm ./cmd/klamm
FROM scratch
COPY klamm /klamm
COPY server.properties /etc/klamm/server.properties
VOLUME /var/lib/klamm
EXPOSE 9092 9644
STOPSIGNAL SIGTERM
ENTRYPOINT ["/klamm"]
# Any key can be set from outside: -e KAFKA_NUM_PARTITIONS=6 is num.partitions=6.
CMD ["server", "--config", "/etc/klamm/server.properties", "--insecure-listen"]
`

// compose is one node for the containers beside it and for this machine.
const compose = `# docker compose up. From this machine: localhost:9092. From other containers of this file: klamm:29092.
services:
  klamm:
    build: .
    environment:
      KAFKA_LISTENERS: HOST://0.0.0.0:9092,DOCKER://0.0.0.0:29092
      # Clients are told these addresses: a mapped port cannot be known from inside.
      KAFKA_ADVERTISED_LISTENERS: HOST://localhost:9092,DOCKER://klamm:29092
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: HOST:PLAINTEXT,DOCKER:PLAINTEXT
      KAFKA_INTER_BROKER_LISTENER_NAME: DOCKER
      KAFKA_ADMIN_LISTENER: 0.0.0.0:9644
    ports:
      # For this machine alone, as there is no authentication yet.
      - "127.0.0.1:9092:9092"
      - "127.0.0.1:9644:9644"
    volumes:
      - data:/var/lib/klamm
    stop_grace_period: 60s
    healthcheck:
      test: ["CMD", "/klamm", "cluster", "health", "-q", "-b", "localhost:29092"]
      interval: 10s
      timeout: 5s
volumes:
  data:
`

// Init is klamm init: files to begin with.
func Init(a *app.App) *cobra.Command {
	var kinds []string
	for _, s := range starters() {
		kinds = append(kinds, s.kind)
	}
	c := &cobra.Command{
		Use: "init", Short: "Write files to begin with: server.properties, a systemd unit, a Dockerfile, a compose file", Args: app.Exactly(),
		Example: "  klamm init                               # all of them, here\n  klamm init --for systemd --dir /etc/klamm\n  klamm init --for compose --for docker --dry-run",
	}
	f := c.Flags()
	wanted := f.StringArray("for", nil, "which: "+strings.Join(kinds, ", ")+" (default: all); may be given again")
	dir := f.String("dir", ".", "where to write them")
	force := f.Bool("force", false, "write over files that are there")
	dry := app.DryRunFlag(c)
	_ = c.RegisterFlagCompletionFunc("for", app.CompleteValues(kinds...))
	c.RunE = func(c *cobra.Command, _ []string) error {
		for _, w := range *wanted {
			if !slices.Contains(kinds, w) {
				return app.Usage(c, "--for %s: there are %s", w, strings.Join(kinds, ", "))
			}
		}
		var files []starter
		for _, s := range starters() {
			if len(*wanted) > 0 && !slices.Contains(*wanted, s.kind) {
				continue
			}
			if _, err := os.Stat(filepath.Join(*dir, s.name)); err == nil && !*force {
				return &app.Failure{Exit: app.ExitFailed, Code: app.CodeExists, What: fmt.Sprintf("%s is there already, and nothing was written", filepath.Join(*dir, s.name)), Try: "--force to write over it, or another --dir"}
			}
			files = append(files, s)
		}
		if *dry {
			for _, s := range files {
				a.Say("would write %s", filepath.Join(*dir, s.name))
			}
			return nil
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return app.Input(err, "%s could not be made", *dir)
		}
		for _, s := range files {
			if err := app.WriteFile(filepath.Join(*dir, s.name), s.text(), 0o644); err != nil {
				return app.Input(err, "%s could not be written", s.name)
			}
			a.Say("wrote %s", filepath.Join(*dir, s.name))
		}
		a.Say("next: klamm config check %s", filepath.Join(*dir, "server.properties"))
		return nil
	}
	return c
}
