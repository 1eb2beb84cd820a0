package main

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
)

// transcriptSuffix is how the name of a transcript ends.
const transcriptSuffix = ".answers.gz"

// transcript is what a broker answered, masked: a comparison needs that broker no more.
type transcript struct {
	Serves  map[int16][2]int16 // versions by key
	Answers map[string][]step  // by case
}

// side is one of the two that are compared: a broker, or what one answered.
type side struct {
	broker     *broker
	transcript *transcript
}

func readTranscript(name string) (*transcript, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	t := &transcript{}
	return t, json.NewDecoder(z).Decode(t)
}

func (t *transcript) write(name string) error {
	f, err := os.Create(filepath.Clean(name))
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	if err := json.NewEncoder(z).Encode(t); err != nil {
		_ = f.Close()
		return err
	}
	if err := z.Close(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
