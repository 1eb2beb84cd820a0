//go:build race

package commitlog

// raceEnabled says that the race detector runs, under which sync.Pool forgets.
const raceEnabled = true
