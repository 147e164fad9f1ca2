package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A record is everything that was measured on a machine in a day, by one run or several: the file that the tables
// are made of.
type record struct {
	Machine      machine       `json:"machine"`
	Runs         int           `json:"runs"` // of this program
	Measurements []measurement `json:"measurements"`
}

// openRecord begins a record, or goes on with the one in the file. Another machine's, or another day's, is refused:
// its figures cannot stand in one table with ours.
func openRecord(path string, goOn bool, here machine) (record, error) {
	rec := record{Machine: here}
	if !goOn {
		return rec, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	var old record
	if err := json.Unmarshal(text, &old); err != nil {
		return rec, fmt.Errorf("%s: %w", path, err)
	}
	if old.Machine != here {
		return rec, fmt.Errorf("%s is of another machine or day (%s; now %s): measure anew, without -add", path, old.Machine, here)
	}
	return old, nil
}

// add takes in a measurement, without the curves, which are for charts.
func (r *record) add(m measurement) {
	if m.Result != nil {
		short := *m.Result
		short.Series, short.Latency.Distribution = nil, nil
		m.Result = &short
	}
	r.Measurements = append(r.Measurements, m)
}

// forget drops what an earlier run has measured of a row and a peer.
func (r *record) forget(row, peer string) {
	r.Measurements = slices.DeleteFunc(r.Measurements, func(m measurement) bool { return m.Row == row && m.Peer == peer })
}

func (r *record) save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}

// writeFile writes a file whole or not at all.
func writeFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of what was not renamed
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
