package experiment

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/ursa-virtual/ursa/simnet/experiment/chart"
	"github.com/ursa-virtual/ursa/simnet/experiment/page"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
	"github.com/ursa-virtual/ursa/topology/picture"
)

// The files that Render makes, beside a picture of each kind as .svg and .png.
const (
	PointsName  = "points"  // .csv and .parquet: a row for each point, that is for each seed
	SummaryName = "summary" // .csv and .parquet: seeds pooled
	PageName    = "report.html"
)

// Render makes the files of a finished experiment, by their names. It is a pure function of the set.
func Render(s *result.Set) (map[string][]byte, error) {
	pictures, err := chart.All(s)
	if err != nil {
		return nil, err
	}
	points, pooled := summary.Table(s, summary.Points(s)), summary.Table(s, summary.Pooled(s))
	fill := map[string]func(io.Writer) error{
		PointsName + ".csv":      points.WriteCSV,
		PointsName + ".parquet":  points.WriteParquet,
		SummaryName + ".csv":     pooled.WriteCSV,
		SummaryName + ".parquet": pooled.WriteParquet,
		PageName:                 func(w io.Writer) error { return page.Write(w, s, pictures) },
	}
	for _, p := range pictures {
		for _, f := range []picture.Format{picture.SVG, picture.PNG} {
			fill[p.Name+"."+string(f)] = func(w io.Writer) error { return p.WriteTo(w, f) }
		}
	}
	out := make(map[string][]byte, len(fill))
	for _, name := range slices.Sorted(maps.Keys(fill)) { // pictures are drawn more than once; always in the same order
		var b bytes.Buffer
		if err := fill[name](&b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = b.Bytes()
	}
	return out, nil
}

// Write renders a set into a folder and returns the names, sorted. Each file appears whole or not at all.
func Write(dir string, s *result.Set) ([]string, error) {
	files, err := Render(s)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", files[name], 0o644); err != nil {
			return nil, err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// Load merges the journals of folders, or single journals.
func Load(paths ...string) (*result.Set, error) {
	var journals []*result.Journal
	for _, path := range paths {
		names := []string{path}
		if info, err := os.Stat(path); err != nil {
			return nil, err
		} else if info.IsDir() {
			if names, err = filepath.Glob(filepath.Join(path, "*.journal")); err != nil || len(names) == 0 {
				return nil, fmt.Errorf("%s: %w: the folder holds no *.journal", path, result.ErrShards)
			}
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			j, err := result.Decode(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			journals = append(journals, j)
		}
	}
	return result.Merge(journals...)
}
