package app

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// localNode is what a node of this machine tells of itself in a file, so that commands find it without being told.
type localNode struct {
	Addr    string    `json:"addr"`
	Dir     string    `json:"data_dir"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

// localDir is where the nodes of this person are told of, for themselves alone; empty when there is no such place.
func (a *App) localDir() string {
	for _, base := range []string{a.Env("XDG_RUNTIME_DIR"), a.Env("XDG_CACHE_HOME")} {
		if base != "" {
			return filepath.Join(base, "klamm")
		}
	}
	if home := a.Env("HOME"); home != "" {
		return filepath.Join(home, ".cache", "klamm")
	}
	return ""
}

// Announce tells the commands of this person that a node listens at addr, until forget is called. What cannot
// be told is left: it is a kindness and nothing stands on it.
func (a *App) Announce(addr, dir string) (forget func()) {
	at := a.localDir()
	if at == "" || os.MkdirAll(at, 0o700) != nil {
		return func() {}
	}
	pid := os.Getpid()
	path := filepath.Join(at, "node-"+strconv.Itoa(pid)+"-"+strings.NewReplacer(":", "-", "/", "-").Replace(addr)+".json")
	b, err := json.Marshal(localNode{addr, dir, pid, a.Time()})
	if err != nil || WriteFile(path, b, 0o600) != nil {
		return func() {}
	}
	return func() { _ = os.Remove(path) }
}

// localBroker is the address of the node of this person that was started last and still listens, or "".
func (a *App) localBroker() string {
	at := a.localDir()
	if at == "" {
		return ""
	}
	files, _ := filepath.Glob(filepath.Join(at, "node-*.json"))
	var best localNode
	for _, f := range files {
		b, err := os.ReadFile(f)
		var n localNode
		if err != nil || json.Unmarshal(b, &n) != nil || !n.Started.After(best.Started) {
			continue
		}
		conn, err := net.DialTimeout("tcp", n.Addr, 300*time.Millisecond)
		if err != nil {
			_ = os.Remove(f) // its node ended without a word
			continue
		}
		_ = conn.Close()
		best = n
	}
	return best.Addr
}
