package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/monitor"
	"github.com/ursa-virtual/ursa/lockgate/monitor/journal"
)

// monitorState is what a monitor remembers between runs.
type monitorState struct {
	Origin     string    `json:"origin"`
	Leaves     uint64    `json:"leaves"`
	Checkpoint string    `json:"checkpoint"` // the signed note, for others to compare with: 'ursa monitor --seen'
	SeenAt     time.Time `json:"seen_at"`
}

// checkpoints are those that were kept and those that others have seen.
func (o monitorOptions) checkpoints(origin string) ([][]byte, error) {
	var out [][]byte
	if o.state != "" {
		var s monitorState
		err := readJSON(o.state, "the state of a monitor", &s)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("%w: move it away to begin anew, and know that what happened before is forgotten then", err)
		case s.Origin != origin:
			return nil, fmt.Errorf("%s remembers ledger %s, and this is %s: keep a state for each", o.state, s.Origin, origin)
		default:
			out = append(out, []byte(s.Checkpoint))
		}
	}
	for _, path := range o.seen {
		raw, err := readLimited(path, maxSmallFile)
		if err != nil {
			return nil, err
		}
		var s monitorState
		if readJSON(path, "the state of a monitor", &s) == nil { // the state of another monitor will do
			raw = []byte(s.Checkpoint)
		}
		out = append(out, raw)
	}
	return out, nil
}

// remember keeps the newest checkpoint that fits all before it.
func (w *watcher) remember() error {
	newest := w.Reader.Newest()
	if w.o.state == "" || len(newest.Raw) == 0 {
		return nil
	}
	return writeJSON(w.o.state, monitorState{Origin: w.origin, Leaves: newest.Size, Checkpoint: string(newest.Raw), SeenAt: time.Now().UTC()}, 0o600)
}

// keep makes a watcher go on from what it verified in an earlier life.
func (w *watcher) keep() error {
	if w.o.kept == "" {
		return nil
	}
	names, err := w.o.evidenceNames()
	if err != nil {
		return err
	}
	file, err := journal.OpenFile(w.o.kept)
	if err != nil {
		return err
	}
	note, err := w.Keep(file, names)
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("%s: %w", w.o.kept, err)
	}
	if note != "" {
		fmt.Fprintf(w.errOut, "note: %s: %s\n", w.o.kept, note)
	}
	w.close = func() { _ = file.Close() }
	return nil
}

// evidenceNames are kept as absolute paths, and shown as the flags say them.
func (o monitorOptions) evidenceNames() (monitor.Names, error) {
	shown := map[string]string{} // absolute folder → as it was given
	absolute := map[string]string{}
	for _, dir := range o.evidence {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return monitor.Names{}, err
		}
		shown[abs], absolute[filepath.Clean(dir)] = dir, abs
	}
	return monitor.Names{
		Out: func(name string) string { return filepath.Join(absolute[filepath.Dir(name)], filepath.Base(name)) },
		In: func(kept string) (string, bool) {
			dir, ok := shown[filepath.Dir(kept)]
			return filepath.Join(dir, filepath.Base(kept)), ok
		},
	}, nil
}
