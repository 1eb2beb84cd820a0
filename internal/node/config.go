package node

import (
	"time"

	"github.com/klamm/klamm/internal/config"
)

// What a node uses where nothing is set.
const (
	// DefaultAdminListener is where the admin listener is.
	DefaultAdminListener = "127.0.0.1:9644"
	// DefaultPort is the port of Kafka's clients.
	DefaultPort = 9092
)

// Config is what a node is made of: the outcome of reading a file, of klamm dev's flags, or of a test's wishes.
type Config struct {
	// NodeID is the node's number in its cluster, from 0 on.
	NodeID int32
	// ClusterID is the id that a new cluster gets; empty for one at random. The id of a formatted directory wins, and one that differs is an error.
	ClusterID string
	// Listeners are where the node listens, in the file's order, those of controllers included.
	Listeners []Listener
	// Advertised is what clients are told to connect to, by listener name. A listener that is not in it
	// advertises the address that each client used.
	Advertised map[string]Endpoint
	// InterBroker is the name of the listener that brokers use among themselves.
	InterBroker string
	// LogDirs are the directories of the logs; at least one.
	LogDirs []string
	// MetadataDir is the directory of the metadata log; one of LogDirs or another.
	MetadataDir string
	// AdminListener is the address of the admin listener, host:port; empty for none.
	AdminListener string
	// AdminOptional says that a taken admin address is warned of and not an error.
	AdminOptional bool
	// DrainTimeout is how long a stop waits at most for the replies that are owed to clients; 0 means the
	// server's own 2 s. Fetches that wait for records and members that wait for their group are answered at
	// once, and do not count.
	DrainTimeout time.Duration
	// Static is the file after aliases, the static layer of every broker key.
	Static config.Static
	// Origins say of each key in Static where it was set: FILE:LINE, environment NAME, or flag --override.
	Origins map[string]string
	// Keys are the keys of all rooms.
	Keys *config.Set
	// NoEffect are the keys of the file that are known and change nothing here, sorted.
	NoEffect []string
	// Warnings are sentences to log once at the start.
	Warnings []string
}

// Listener is one name under which the node listens.
type Listener struct {
	// Name is the listener's name, in capitals.
	Name string
	// Protocol is its security protocol; PLAINTEXT is the only one so far.
	Protocol string
	// Hosts are the addresses to bind: one, or both loopback addresses; an empty one is every interface.
	Hosts []string
	// Port is the port to bind on each of Hosts; 0 for one that the system picks.
	Port int
	// Controller says that controllers use it among themselves, and no client.
	Controller bool
}

// Endpoint is an address that clients are told.
type Endpoint struct {
	Host string
	Port int
}
